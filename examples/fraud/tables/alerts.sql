-- The rule: eight payments of one card within a minute. In a table, to be looked into …
CREATE OR REFRESH STREAMING TABLE fraud_alerts
TBLPROPERTIES ('tidegate.output' = 'update')
AS SELECT card, window(ts, '1 minute', '10 seconds') AS w, count(*) AS payments, sum(amount) AS total
FROM STREAM payments_accepted WATERMARK ts DELAY OF INTERVAL 10 SECONDS
GROUP BY card, window(ts, '1 minute', '10 seconds')
HAVING count(*) >= 8;

-- … and in a topic, for those who must act at once.
CREATE TOPIC alerts;

CREATE SINK alert_feed TO topic('alerts', key => 'card')
TBLPROPERTIES ('tidegate.output' = 'update')
AS SELECT card, window(ts, '1 minute', '10 seconds') AS w, count(*) AS payments, sum(amount) AS total, max(sent) AS sent
FROM STREAM payments_accepted WATERMARK ts DELAY OF INTERVAL 10 SECONDS
GROUP BY card, window(ts, '1 minute', '10 seconds')
HAVING count(*) >= 8;
