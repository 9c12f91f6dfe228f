-- What the sensors, servers and taxis say, as it comes.
CREATE OR REFRESH STREAMING TABLE readings (
  series STRING    NOT NULL,
  ts     TIMESTAMP NOT NULL,
  value  DOUBLE    NOT NULL
) AS SELECT * FROM STREAM read_files('landing/*.csv', format => 'csv', header => true);
