-- Queries that look at one row at a time.

-- q0: all bids, as they are.
CREATE OR REFRESH STREAMING TABLE q0 AS
SELECT auction, bidder, price, date_time FROM STREAM bid;

-- q1: prices in euros.
CREATE OR REFRESH STREAMING TABLE q1 AS
SELECT auction, bidder, 0.908 * price AS price, date_time FROM STREAM bid;

-- q2: bids on some auctions.
CREATE OR REFRESH STREAMING TABLE q2 AS
SELECT auction, price FROM STREAM bid WHERE auction IN (1007, 1020, 2001, 2019, 2087);

-- q10: with day and time, as one would partition them.
CREATE OR REFRESH STREAMING TABLE q10 AS
SELECT auction, bidder, price, date_time,
       date_format(date_time, 'yyyy-MM-dd') AS date, date_format(date_time, 'hh:mm') AS time
FROM STREAM bid;

-- q14: a calculation, a case, and how often the letter c is in a text.
CREATE OR REFRESH STREAMING TABLE q14 AS
SELECT auction, bidder, 0.908 * price AS price,
       CASE WHEN hour(date_time) BETWEEN 8 AND 18 THEN 'dayTime'
            WHEN hour(date_time) <= 6 OR hour(date_time) >= 20 THEN 'nightTime'
            ELSE 'otherTime' END AS bid_time_type,
       date_time, length(extra) - length(replace(extra, 'c', '')) AS c_counts
FROM STREAM bid
WHERE 0.908 * price > 1000000 AND 0.908 * price < 50000000;

-- q21: the number of a channel, by name or out of the address.
CREATE OR REFRESH STREAMING TABLE q21 AS
SELECT * FROM (
  SELECT auction, bidder, price, channel,
         CASE lower(channel) WHEN 'apple' THEN '0' WHEN 'google' THEN '1' WHEN 'facebook' THEN '2' WHEN 'baidu' THEN '3'
              ELSE nullif(regexp_extract(url, '(&|^)channel_id=([^&]*)', 2), '') END AS channel_id
  FROM STREAM bid) AS numbered
WHERE channel_id IS NOT NULL;

-- q22: the folders of an address.
CREATE OR REFRESH STREAMING TABLE q22 AS
SELECT auction, bidder, price, channel,
       split_part(url, '/', 4) AS dir1, split_part(url, '/', 5) AS dir2, split_part(url, '/', 6) AS dir3
FROM STREAM bid;
