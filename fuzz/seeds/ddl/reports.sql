-- Revenue of each merchant by hour.
CREATE OR REFRESH MATERIALIZED VIEW merchant_hourly COMMENT 'revenue per merchant and hour' AS
SELECT merchant, date_trunc('HOUR', ts) AS hour, count(*) AS payments, sum(amount) AS revenue
FROM payments
GROUP BY ALL;

-- What a day brought in each currency, and how large a payment usually is.
CREATE OR REFRESH MATERIALIZED VIEW currency_daily AS
SELECT CAST(ts AS DATE) AS day, currency, count(*) AS payments, sum(amount) AS revenue, max(amount) AS largest
FROM payments
GROUP BY CAST(ts AS DATE), currency;

-- Payments that deserve a second look: a flow reads only what is new.
CREATE OR REFRESH STREAMING TABLE large_payments (
  CONSTRAINT has_country EXPECT (country IS NOT NULL) ON VIOLATION DROP ROW
) AS
SELECT id, card_id, merchant, country, amount, currency, ts
FROM STREAM payments
WHERE amount >= 500;
