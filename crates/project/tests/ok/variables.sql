-- Databricks' way to parametrise a file.
SET start = '2026-01-01';
SET landing = 's3://bucket/landing';
SET lab.schema = sales;
SET columns = a, b AS c;
CREATE STREAMING TABLE a AS SELECT ${columns} FROM STREAM read_files('${landing}/2026/*.csv', format => 'csv') WHERE day > ${start};
SET landing = /other;
CREATE MATERIALIZED VIEW b COMMENT 'since ${start}' AS SELECT * FROM json.`${landing}/x` JOIN ${lab.schema}.orders USING (id);
CREATE MATERIALIZED VIEW ${lab.schema}.orders AS SELECT '$5' AS price, '{}' AS json, "$" AS dollar;
