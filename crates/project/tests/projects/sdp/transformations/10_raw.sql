CREATE MATERIALIZED VIEW deliveries_raw AS SELECT * FROM json.`data`;
CREATE MATERIALIZED VIEW deliveries COMMENT 'that can be used' AS
SELECT id, CAST(weight AS DOUBLE) AS weight FROM spark_catalog.logistics.deliveries_raw WHERE id IS NOT NULL;
