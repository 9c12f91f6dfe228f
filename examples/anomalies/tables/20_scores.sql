-- From readings to a score for each hour, as hours close. One flow, so that one watermark goes through all of it; nothing
-- here looks at what comes later, nor at the labels.
CREATE OR REFRESH STREAMING TABLE scores COMMENT 'each hour of each series: by how many robust deviations it is off' AS
WITH
-- The mean of each hour.
hourly AS (
  SELECT series, window(ts, '1 hour').start AS hour, avg(value) AS value
  FROM STREAM readings WATERMARK ts DELAY OF INTERVAL 10 MINUTES
  GROUP BY series, window(ts, '1 hour').start
),
-- Offices, web shops and taxis keep the week of people …
weekly AS (
  SELECT series, hour, value FROM hourly
  WHERE series IN ('ambient_temperature_system_failure', 'cpu_utilization_asg_misconfiguration', 'nyc_taxi')
),
-- … so that an hour is held against the same hour of the last four weeks (two of them at least).
usual AS (
  SELECT series, date_format(hour, 'E HH') AS hour_of_week, window(hour, '28 days', '1 day').end AS day, median(value) AS usual
  FROM weekly
  GROUP BY series, date_format(hour, 'E HH'), window(hour, '28 days', '1 day').end
  HAVING count(*) >= 2
),
surprises AS (
  SELECT h.series, h.hour, h.value, h.value - u.usual AS surprise
  FROM weekly AS h JOIN usual AS u
  ON h.series = u.series AND date_format(h.hour, 'E HH') = u.hour_of_week
     AND h.hour BETWEEN u.day AND u.day + INTERVAL 23 HOURS
),
-- How surprises are spread: the quartiles of three weeks, anew every day, once there are three days of them.
spread AS (
  SELECT series, window(hour, '21 days', '1 day').end AS day, percentile(surprise, 0.25) AS lower, median(surprise) AS middle,
         percentile(surprise, 0.75) AS upper
  FROM surprises
  GROUP BY series, window(hour, '21 days', '1 day').end
  HAVING count(*) >= 72
),
-- Machines do not know what day it is: their hours are held against those of the last week as they are.
steady AS (
  SELECT series, hour, value FROM hourly
  WHERE series NOT IN ('ambient_temperature_system_failure', 'cpu_utilization_asg_misconfiguration', 'nyc_taxi')
),
steady_spread AS (
  SELECT series, window(hour, '7 days', '1 day').end AS day, percentile(value, 0.25) AS lower, median(value) AS middle,
         percentile(value, 0.75) AS upper
  FROM steady
  GROUP BY series, window(hour, '7 days', '1 day').end
  HAVING count(*) >= 72
)
-- In a normal spread 1.349 standard deviations lie between the quartiles.
SELECT s.series, s.hour, s.value, (s.surprise - d.middle) / greatest((d.upper - d.lower) / 1.349D, 1e-9) AS score
FROM surprises AS s JOIN spread AS d
ON s.series = d.series AND s.hour BETWEEN d.day AND d.day + INTERVAL 23 HOURS
UNION ALL
SELECT s.series, s.hour, s.value, (s.value - d.middle) / greatest((d.upper - d.lower) / 1.349D, 1e-9) AS score
FROM steady AS s JOIN steady_spread AS d
ON s.series = d.series AND s.hour BETWEEN d.day AND d.day + INTERVAL 23 HOURS;

-- An hour that is off by more than five deviations. This is what would call somebody.
CREATE OR REFRESH STREAMING TABLE alerts AS
SELECT series, hour, value, score FROM STREAM scores WHERE abs(score) > 5;
