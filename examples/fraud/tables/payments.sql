-- Where the tills put their payments: a topic that Tidegate keeps itself. With a broker of your own, read it instead:
--   FROM STREAM read_kafka(bootstrapServers => 'broker:9092', subscribe => 'payments', format => 'json')
CREATE TOPIC payments (
  id       BIGINT,
  card     STRING,
  merchant STRING,
  amount   DECIMAL(12,2),
  currency STRING,
  ts       TIMESTAMP,
  sent     BIGINT COMMENT 'when the till sent it, in milliseconds since 1970'
) TBLPROPERTIES ('partitions' = '2', 'key' = 'card', 'retention' = '1 day');

-- What a payment must be. Good rows go on at once; the others are kept in payments_accepted__quarantine, with the reason.
CREATE OR REFRESH STREAMING TABLE payments_accepted (
  id       BIGINT        NOT NULL,
  card     STRING        NOT NULL,
  merchant STRING,
  amount   DECIMAL(12,2) NOT NULL,
  currency STRING,
  ts       TIMESTAMP     NOT NULL,
  sent     BIGINT,
  CONSTRAINT positive_amount EXPECT (amount > 0)                        ON VIOLATION QUARANTINE,
  CONSTRAINT known_currency  EXPECT (currency IN ('EUR', 'USD', 'GBP')) ON VIOLATION QUARANTINE
)
AS SELECT * FROM STREAM payments;
