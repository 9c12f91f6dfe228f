-- The eight rules of the gate job. Field count, quotes, and values that are no number or no time are caught by the
-- declared columns alone.
CREATE OR REFRESH STREAMING TABLE payments (
  id       STRING        NOT NULL PRIMARY KEY,
  card_id  STRING        NOT NULL,
  merchant STRING,
  country  STRING,
  amount   DECIMAL(12,2) NOT NULL,
  currency STRING,
  ts       TIMESTAMP     NOT NULL,
  email    STRING,
  ip       STRING,
  CONSTRAINT amount_is_not_negative EXPECT (amount >= 0) ON VIOLATION QUARANTINE,
  CONSTRAINT known_currency EXPECT (currency IN ('EUR', 'USD', 'GBP', 'CHF', 'JPY', 'SEK', 'PLN', 'CZK')) ON VIOLATION QUARANTINE
)
AS SELECT * FROM STREAM read_files('landing/*.csv', format => 'csv');

CREATE OR REFRESH MATERIALIZED VIEW revenue_by_hour AS
SELECT merchant, date_trunc('HOUR', ts) AS hour, count(*) AS payments, sum(amount) AS revenue
FROM payments
GROUP BY merchant, date_trunc('HOUR', ts);
