-- The page that started it all.
CREATE OR REFRESH STREAMING TABLE payments (
  id       BIGINT        NOT NULL PRIMARY KEY,
  card_id  STRING        NOT NULL,
  amount   DECIMAL(12,2) NOT NULL,
  currency STRING,
  ts       TIMESTAMP     NOT NULL,
  CONSTRAINT positive_amount EXPECT (amount > 0)                        ON VIOLATION QUARANTINE,
  CONSTRAINT known_currency  EXPECT (currency IN ('EUR', 'USD', 'GBP')) ON VIOLATION QUARANTINE,
  CONSTRAINT recent          EXPECT (ts > TIMESTAMP '2020-01-01')
)
TBLPROPERTIES ('tidegate.quarantine.alert' = '0.5%', 'tidegate.quarantine.fail' = '20%')
AS SELECT * FROM STREAM read_files('landing/payments/*.csv', format => 'csv');

CREATE OR REFRESH MATERIALIZED VIEW revenue_by_hour AS
SELECT date_trunc('HOUR', ts) AS hour, currency, sum(amount) AS revenue FROM payments GROUP BY ALL;
