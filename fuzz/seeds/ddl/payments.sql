-- What lands in landing/payments, checked row by row. Rows that break a promise go to payments__quarantine
-- with every reason; the good rows do not wait for them.
CREATE OR REFRESH STREAMING TABLE payments (
  id       STRING        NOT NULL PRIMARY KEY COMMENT 'given by the till',
  card_id  STRING        NOT NULL,
  merchant STRING,
  country  STRING,
  amount   DECIMAL(12,2) NOT NULL,
  currency STRING,
  ts       TIMESTAMP     NOT NULL,
  email    STRING,
  ip       STRING,
  CONSTRAINT positive_amount EXPECT (amount > 0) ON VIOLATION QUARANTINE,
  CONSTRAINT known_currency  EXPECT (currency IN ('EUR', 'USD', 'GBP', 'CHF', 'JPY', 'SEK', 'PLN', 'CZK')) ON VIOLATION QUARANTINE,
  CONSTRAINT recent          EXPECT (ts >= TIMESTAMP '2020-01-01')
)
COMMENT 'payments as they arrived, good rows only'
TBLPROPERTIES ('tidegate.quarantine.alert' = '1%', 'tidegate.quarantine.fail' = '20%')
AS SELECT * FROM STREAM read_files('landing/payments', format => 'csv');
