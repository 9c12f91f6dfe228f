CREATE STREAMING TABLE events AS SELECT * FROM STREAM read_files(
  'landing/events', format => 'csv', header => true, delimiter => ';', maxRows => -5, `skipRows` => 2);
CREATE STREAMING TABLE older AS SELECT * FROM STREAM cloud_files('s3://b/x', 'JSON', map('cloudFiles.inferColumnTypes', 'true', 'multiLine', 'false'));
CREATE STREAMING TABLE s1 AS SELECT * FROM STREAM events e JOIN lookup l ON e.id = l.id, STREAM(older) AS o;
CREATE MATERIALIZED VIEW lookup AS SELECT * FROM csv.`lookups/*.csv`;
CREATE MATERIALIZED VIEW paths AS
  SELECT * FROM JSON.`a b.json` UNION ALL SELECT * FROM delta.`/tables/x` VERSION AS OF 4
  UNION ALL SELECT * FROM parquet.`s3://x/y` p WHERE p.z = 1;
CREATE MATERIALIZED VIEW versions AS
  SELECT * FROM lookup VERSION AS OF 3
  UNION ALL SELECT * FROM lookup FOR VERSION AS OF '4' AS x
  UNION ALL SELECT * FROM lookup TIMESTAMP AS OF '2026-01-31' y WHERE y.a > 1
  UNION ALL SELECT * FROM lookup FOR SYSTEM_TIME AS OF date_sub(current_date(), 1)
  UNION ALL SELECT * FROM lookup@v5 JOIN lookup@20260131 z ON true;
CREATE MATERIALIZED VIEW scoping AS
WITH lookup AS (SELECT * FROM lookup WHERE a > 1),
     second(p, q) AS (SELECT a, b FROM lookup),
     third AS (WITH inside AS (SELECT * FROM events) SELECT * FROM inside, second)
SELECT * FROM third, Lookup, (WITH events AS (SELECT 1) SELECT * FROM events) e
WHERE EXISTS (SELECT 1 FROM events WHERE events.id = e.id)
  AND id IN (SELECT id FROM older) AND (SELECT max(id) FROM inside) > 1;
CREATE STREAMING TABLE inside AS SELECT * FROM STREAM json.`in`;
CREATE MATERIALIZED VIEW qualified AS
SELECT default.lookup.a, lookup.b, sales.orders.*, orders.total.net
FROM default.lookup LEFT JOIN sales.orders ON default.lookup.id = sales.orders.id;
CREATE STREAMING TABLE sales.orders AS SELECT id, total FROM STREAM live.events;
CREATE MATERIALIZED VIEW others AS
SELECT extract(YEAR FROM ts) AS y, a IS DISTINCT FROM b, substring(c FROM 2), trim(BOTH 'x' FROM d), stream, watermark
FROM (events LEFT JOIN older USING (id)) CROSS JOIN LATERAL (SELECT * FROM lookup) k,
     VALUES (1, 'a'), (2, 'b') AS v(n, s), range(10) r, system.runs, outside.known, events__quarantine
LATERAL VIEW explode(items) t AS item
WHERE a = 1 AND b IN (SELECT b FROM older TABLESAMPLE (10 PERCENT));
CREATE MATERIALIZED VIEW words AS
SELECT stream.a, watermark.b FROM lookup stream JOIN lookup AS watermark ON stream.a = watermark.b;
CREATE TEMPORARY VIEW streamed AS SELECT * FROM STREAM events WHERE a > 0;
CREATE STREAMING TABLE of_view AS SELECT * FROM STREAM streamed;
