-- The three streams as they arrive: shuffled, in several lots. A row that has nothing but a time is a tick: a stream
-- says by it that it has come so far, so that windows may close though nobody bids.
CREATE OR REFRESH STREAMING TABLE person_stream (
  id            BIGINT,
  name          STRING,
  email_address STRING,
  credit_card   STRING,
  city          STRING,
  state         STRING,
  date_time     TIMESTAMP NOT NULL,
  extra         STRING
) AS SELECT * FROM STREAM read_files('landing/person', format => 'json');

CREATE OR REFRESH STREAMING TABLE auction_stream (
  id          BIGINT,
  item_name   STRING,
  description STRING,
  initial_bid BIGINT,
  reserve     BIGINT,
  date_time   TIMESTAMP NOT NULL,
  expires     TIMESTAMP,
  seller      BIGINT,
  category    BIGINT,
  extra       STRING,
  CONSTRAINT ends_after_it_began EXPECT (id IS NULL OR expires > date_time) ON VIOLATION QUARANTINE
) AS SELECT * FROM STREAM read_files('landing/auction', format => 'json');

CREATE OR REFRESH STREAMING TABLE bid_stream (
  auction   BIGINT,
  bidder    BIGINT,
  price     BIGINT,
  channel   STRING,
  url       STRING,
  date_time TIMESTAMP NOT NULL,
  extra     STRING,
  CONSTRAINT positive_price EXPECT (auction IS NULL OR price > 0) ON VIOLATION QUARANTINE
) AS SELECT * FROM STREAM read_files('landing/bid', format => 'json');

-- The same without ticks.
CREATE OR REFRESH STREAMING TABLE person AS SELECT * FROM STREAM person_stream WHERE id IS NOT NULL;
CREATE OR REFRESH STREAMING TABLE auction AS SELECT * FROM STREAM auction_stream WHERE id IS NOT NULL;
CREATE OR REFRESH STREAMING TABLE bid AS SELECT * FROM STREAM bid_stream WHERE auction IS NOT NULL;
