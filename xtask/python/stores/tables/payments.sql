-- Read from a bucket, written to the same one.
CREATE OR REFRESH STREAMING TABLE payments (
  id      BIGINT NOT NULL PRIMARY KEY,
  name    STRING,
  country STRING
)
PARTITIONED BY (country)
AS SELECT * FROM STREAM read_files('${bucket}/in/*.csv');

CREATE OR REFRESH MATERIALIZED VIEW by_country AS
SELECT country, count(*) AS payments FROM payments GROUP BY country;
