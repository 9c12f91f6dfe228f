CREATE STREAMING TABLE a (x INT, y INT, z ARRAY<INT>)
  PARTITIONED BY (w, x, X, z) CLUSTER BY (yy) COMMENT 'a' COMMENT 'b'
  TBLPROPERTIES ('tidegate.quarantine.alert' = 'many', 'tidegate.quarantine.fail' = '120%',
                 'tidegate.quarantine.allert' = '1%', 'tidegate.other' = 1, a = 1, 'A' = 2)
AS SELECT * FROM STREAM read_files('x');
CREATE STREAMING TABLE b (x INT) PARTITIONED BY (x) AS SELECT * FROM STREAM read_files('x');
CREATE STREAMING TABLE c USING PARQUET AS SELECT * FROM STREAM read_files('x');
CREATE STREAMING TABLE d PARTITIONED BY (days(ts)) AS SELECT * FROM STREAM read_files('x');
CREATE STREAMING TABLE e PARTITION BY (x) AS SELECT * FROM STREAM read_files('x');
CREATE TEMPORARY VIEW f (x INT, CONSTRAINT c EXPECT (x > 0)) PARTITIONED BY (x) AS SELECT 1 AS x;
CREATE STREAMING TABLE g__quarantine AS SELECT * FROM STREAM read_files('x');
CREATE MATERIALIZED VIEW system.runs AS SELECT 1 AS a;
CREATE STREAMING TABLE h COMMENT AS SELECT * FROM STREAM read_files('x');
CREATE STREAMING TABLE i TBLPROPERTIES ('a' = ) AS SELECT * FROM STREAM read_files('x');
