-- Where each row is from.
CREATE OR REFRESH STREAMING TABLE prices (
  id      BIGINT NOT NULL PRIMARY KEY,
  price   DECIMAL(8,2),
  file    STRING,
  line    BIGINT,
  CONSTRAINT dear EXPECT (price < 1000) ON VIOLATION QUARANTINE
)
AS SELECT id, price, _metadata.file_name AS file, _metadata.row_number AS line
FROM STREAM read_files('landing/prices', schema => 'id BIGINT, price STRING', header => true);

-- Values as a German office writes them, said once for the table.
CREATE OR REFRESH STREAMING TABLE german (
  id      BIGINT NOT NULL,
  paid    DECIMAL(10,2),
  day     DATE
)
TBLPROPERTIES ('tidegate.coercion.decimalSeparator' = ',', 'tidegate.coercion.dateFormat' = 'dd.MM.yyyy')
AS SELECT * FROM STREAM read_files('landing/german', schemaEvolutionMode => 'rescue');

CREATE OR REFRESH MATERIALIZED VIEW notes AS
SELECT id, _rescued_data FROM german WHERE _rescued_data IS NOT NULL;
