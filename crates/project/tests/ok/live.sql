-- Topics, sinks, records of live sources, watermarks, and how a table is kept up to date.
CREATE TOPIC payments (
  id BIGINT NOT NULL,
  card STRING,
  ts TIMESTAMP
) COMMENT 'one record a payment' TBLPROPERTIES ('retention' = '7 days');

CREATE TOPIC alerts;

CREATE MATERIALIZED VIEW compared (
  CONSTRAINT below EXPECT (a < 5) ON VIOLATION FAIL UPDATE,
  CONSTRAINT above EXPECT (a > 0 AND size(list) < 3) ON VIOLATION FAIL UPDATE
) AS SELECT 1 AS a, array(1, 2) AS list;

CREATE STREAMING TABLE raw AS
SELECT * FROM STREAM read_kafka(
  bootstrapServers => 'localhost:9092', subscribe => 'a,b', format => 'JSON', startingOffsets => 'earliest'
);

CREATE STREAMING TABLE velocity TBLPROPERTIES (
  'tidegate.output' = 'update', 'tidegate.late' = 'keep', 'tidegate.idle' = '10 seconds', 'tidegate.timeToLive' = '1 day'
) AS
SELECT card, window(ts, '10 minutes', '1 minute') AS w, count(*) AS n
FROM STREAM read_topic('payments') AS p WATERMARK ts DELAY OF INTERVAL '1' MINUTE
GROUP BY card, window(ts, '10 minutes', '1 minute');

CREATE STREAMING TABLE joined AS
SELECT a.id FROM STREAM payments WATERMARK ts DELAY OF '30 seconds', STREAM raw AS a;

CREATE SINK out TO topic('alerts', key => 'card', format => json) AS SELECT * FROM STREAM velocity;
CREATE SINK elsewhere TO kafka(bootstrapServers => 'localhost:9092', topic => 'alerts', exactlyOnce => true)
COMMENT 'for the others'
AS SELECT * FROM STREAM velocity;

CREATE STREAMING TABLE changed AS
SELECT card, n, _change_type FROM STREAM table_changes('velocity') AS v WHERE _change_type <> 'update_preimage';
