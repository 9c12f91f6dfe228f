CREATE STREAMING TABLE t (
  id BIGNT NOT NULL,
  name,
  amount DECIMAL(40, 2),
  price DECIMAL(5, 6),
  duration INTERVAL,
  payload VARIANT,
  tags ARRAY,
  attributes MAP<STRING>,
  shape STRUCT<a: INT, A: STRING>,
  txt TEXT,
  code CHAR(3) DEFAULT 'x',
  note VARCHAR(20),
  CONSTRAINT positive EXPECT amount > 0,
  CONSTRAINT again EXPECT (amount >) ON VIOLATION DROP ROW,
  CONSTRAINT more EXPECT (amount > 0) ON VIOLATION DELETE ROW,
  CONSTRAINT fk FOREIGN KEY (id) REFERENCES other (id),
  EXPECT (id > 0),
  CONSTRAINT other EXPECT (id IN (SELECT id FROM other)),
  CONSTRAINT two EXPECT (a b),
  ok INT NUL
) AS SELECT * FROM STREAM read_files('x');
CREATE STREAMING TABLE u () AS SELECT * FROM STREAM read_files('x');
CREATE STREAMING TABLE v (a INT, b INT AS SELECT * FROM STREAM read_files('x');
