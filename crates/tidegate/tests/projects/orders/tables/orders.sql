CREATE OR REFRESH STREAMING TABLE orders (
  id       BIGINT        NOT NULL PRIMARY KEY,
  customer STRING        NOT NULL,
  amount   DECIMAL(10,2) NOT NULL,
  ordered  DATE          NOT NULL,
  CONSTRAINT positive_amount EXPECT (amount > 0) ON VIOLATION QUARANTINE,
  CONSTRAINT small           EXPECT (amount < 200)
)
TBLPROPERTIES ('tidegate.quarantine.alert' = '10%')
AS SELECT * FROM STREAM read_files('landing/orders/*.csv');

CREATE OR REFRESH MATERIALIZED VIEW orders_daily AS
SELECT ordered, count(*) AS orders, sum(amount) AS revenue FROM orders GROUP BY ordered;

CREATE OR REFRESH STREAMING TABLE large_orders (
  CONSTRAINT not_hopper EXPECT (customer <> 'Hopper, Inc') ON VIOLATION DROP ROW
) AS SELECT id, customer, amount FROM STREAM orders WHERE amount > 15;
