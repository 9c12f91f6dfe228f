-- How good are the alerts? Only this file looks at truth/windows.csv, in which people wrote down when something was wrong.
CREATE TEMPORARY VIEW labels AS
SELECT * FROM read_files('truth/windows.csv', format => 'csv', schema => 'series STRING, starts TIMESTAMP, ends TIMESTAMP');

-- Each labelled window: was there an alert in it, and how long after its start?
CREATE OR REFRESH MATERIALIZED VIEW windows AS
SELECT l.series, l.starts, l.ends, count(a.hour) AS alerts, min(a.hour) AS first_alert
FROM labels AS l LEFT JOIN alerts AS a
ON a.series = l.series AND a.hour BETWEEN date_trunc('HOUR', l.starts) AND l.ends
GROUP BY l.series, l.starts, l.ends;

-- Alerts outside all windows. Those within a day of each other are one false alarm: somebody was called once.
CREATE OR REFRESH MATERIALIZED VIEW false_alarms AS
SELECT a.series, session_window(a.hour, '24 hours').start AS starts, count(*) AS alerts
FROM alerts AS a LEFT ANTI JOIN labels AS l
ON a.series = l.series AND a.hour BETWEEN date_trunc('HOUR', l.starts) AND l.ends
GROUP BY a.series, session_window(a.hour, '24 hours');

CREATE OR REFRESH MATERIALIZED VIEW found COMMENT 'by series: labelled windows, found and missed, and false alarms' AS
SELECT w.series, w.windows, w.found, w.windows - w.found AS missed, coalesce(f.false_alarms, 0) AS false_alarms, s.days_scored
FROM (SELECT series, count(*) AS windows, count(*) FILTER (WHERE alerts > 0) AS found FROM windows GROUP BY series) AS w
LEFT JOIN (SELECT series, count(*) AS false_alarms FROM false_alarms GROUP BY series) AS f ON w.series = f.series
LEFT JOIN (SELECT series, round(count(*) / 24, 0) AS days_scored FROM scores GROUP BY series) AS s ON w.series = s.series;

-- A promise about our own work: once all readings have come, a change that finds less or cries more stops the update.
CREATE OR REFRESH MATERIALIZED VIEW total (
  CONSTRAINT finds_enough EXPECT (69560 > readings OR found >= 15)        ON VIOLATION FAIL UPDATE,
  CONSTRAINT calm_enough  EXPECT (69560 > readings OR false_alarms <= 25) ON VIOLATION FAIL UPDATE
) AS
SELECT (SELECT count(*) FROM readings) AS readings, sum(windows) AS windows, sum(found) AS found, sum(missed) AS missed,
       sum(false_alarms) AS false_alarms
FROM found;
