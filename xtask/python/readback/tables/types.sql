CREATE OR REFRESH STREAMING TABLE every_type (
  id        BIGINT NOT NULL PRIMARY KEY,
  tiny      TINYINT,
  small     SMALLINT,
  plain     INT,
  real      FLOAT,
  precise   DOUBLE,
  truth     BOOLEAN,
  text      STRING,
  day       DATE,
  moment    TIMESTAMP,
  wall      TIMESTAMP_NTZ,
  price     DECIMAL(12,2),
  huge      DECIMAL(38,10),
  numbers   ARRAY<INT>,
  shares    MAP<STRING, DOUBLE>,
  place     STRUCT<city: STRING, floor: INT>,
  region    STRING NOT NULL,
  CONSTRAINT price_is_not_negative EXPECT (price IS NULL OR price >= 0) ON VIOLATION QUARANTINE
)
PARTITIONED BY (region)
AS SELECT * FROM STREAM read_files('landing/*.jsonl', format => 'json');

CREATE OR REFRESH MATERIALIZED VIEW by_region AS
SELECT region, count(*) AS rows, sum(price) AS total, max(day) AS last_day FROM every_type GROUP BY region;
