CREATE TOPIC payments (id BIGINT, card STRING, amount DECIMAL(12,2), ts TIMESTAMP) TBLPROPERTIES ('partitions' = '2', 'key' = 'card');
CREATE TOPIC alerts;
CREATE STREAMING TABLE accepted (
  id BIGINT NOT NULL PRIMARY KEY, card STRING NOT NULL, amount DECIMAL(12,2) NOT NULL, ts TIMESTAMP NOT NULL,
  CONSTRAINT positive EXPECT (amount > 0) ON VIOLATION QUARANTINE
) AS SELECT * FROM STREAM payments;
CREATE STREAMING TABLE closed TBLPROPERTIES ('tidegate.late' = 'keep') AS
SELECT card, window(ts, '10 minutes') AS w, count(*) AS n, sum(amount) AS total
FROM STREAM accepted WATERMARK ts DELAY OF INTERVAL 1 MINUTE GROUP BY card, window(ts, '10 minutes');
CREATE STREAMING TABLE early TBLPROPERTIES ('tidegate.output' = 'update') AS
SELECT card, window(ts, '10 minutes') AS w, count(*) AS n, sum(amount) AS total
FROM STREAM accepted WATERMARK ts DELAY OF INTERVAL 1 MINUTE GROUP BY card, window(ts, '10 minutes');
CREATE STREAMING TABLE totals AS SELECT count(*) AS n, sum(amount) AS total FROM STREAM accepted;
CREATE STREAMING TABLE dearest AS
SELECT card, id, amount FROM (
  SELECT card, id, amount, ROW_NUMBER() OVER (PARTITION BY card ORDER BY amount DESC) AS place FROM STREAM accepted
) WHERE place = 1;
CREATE SINK large TO topic('alerts', key => 'card') AS SELECT card, id, amount FROM STREAM accepted WHERE amount >= 100;
CREATE MATERIALIZED VIEW cards AS SELECT count(*) AS cards FROM dearest;
