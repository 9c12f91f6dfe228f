-- Every file in landing/orders is read once. Rows that break a promise go to orders__quarantine,
-- with every reason; the good rows do not wait for them.
CREATE OR REFRESH STREAMING TABLE orders (
  id       BIGINT        NOT NULL PRIMARY KEY,
  customer STRING        NOT NULL,
  amount   DECIMAL(10,2) NOT NULL,
  ordered  DATE          NOT NULL,
  CONSTRAINT positive_amount EXPECT (amount > 0) ON VIOLATION QUARANTINE
)
AS SELECT * FROM STREAM read_files('landing/orders/*.csv');

-- What each day brought. It is computed anew when orders has moved.
CREATE OR REFRESH MATERIALIZED VIEW orders_daily AS
SELECT ordered, count(*) AS orders, sum(amount) AS revenue
FROM orders
GROUP BY ordered;
