-- Joins of streams. Those without a bound of time remember both sides for good, as the benchmark wants it.

-- q3: who sells in category 10 in Oregon, Idaho and California.
CREATE OR REFRESH STREAMING TABLE q3 AS
SELECT p.name, p.city, p.state, a.id
FROM STREAM auction AS a JOIN STREAM person AS p ON a.seller = p.id
WHERE a.category = 10 AND p.state IN ('or', 'id', 'ca');

-- q20: bids with their auctions, of one category.
CREATE OR REFRESH STREAMING TABLE q20 AS
SELECT b.auction, b.bidder, b.price, b.channel, b.url, b.date_time AS bid_date_time, b.extra AS bid_extra,
       a.item_name, a.description, a.initial_bid, a.reserve, a.date_time AS auction_date_time, a.expires, a.seller,
       a.category, a.extra AS auction_extra
FROM STREAM bid AS b JOIN STREAM auction AS a ON b.auction = a.id
WHERE a.category = 10;

-- q9: the winning bid of each auction: the highest while it was open, and of equals the first.
CREATE OR REFRESH STREAMING TABLE q9 TBLPROPERTIES ('tidegate.output' = 'update') AS
SELECT id, item_name, description, initial_bid, reserve, date_time, expires, seller, category,
       auction, bidder, price, bid_date_time
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY id ORDER BY price DESC, bid_date_time) AS place
  FROM (
    SELECT a.id, a.item_name, a.description, a.initial_bid, a.reserve, a.date_time, a.expires, a.seller, a.category,
           b.auction, b.bidder, b.price, b.date_time AS bid_date_time
    FROM STREAM auction AS a JOIN STREAM bid AS b ON a.id = b.auction
    WHERE b.date_time BETWEEN a.date_time AND a.expires
  ) AS while_open
) AS placed
WHERE place <= 1;

-- What each auction went for: the state that q4 and q106 look at.
CREATE OR REFRESH STREAMING TABLE final_price TBLPROPERTIES ('tidegate.output' = 'update') AS
SELECT a.id, a.category, max(b.price) AS final
FROM STREAM auction AS a JOIN STREAM bid AS b ON a.id = b.auction
WHERE b.date_time BETWEEN a.date_time AND a.expires
GROUP BY a.id, a.category;

-- q4: the average price by category.
CREATE OR REFRESH MATERIALIZED VIEW q4 AS
SELECT category, avg(final) AS average FROM final_price GROUP BY category;

-- q106: the least price that an auction went for.
CREATE OR REFRESH MATERIALIZED VIEW q106 AS SELECT min(final) AS min_final FROM final_price;

-- q6, as RisingWave has it: the least bid on each auction while it was open …
CREATE OR REFRESH STREAMING TABLE least_bid TBLPROPERTIES ('tidegate.output' = 'update') AS
SELECT id, seller, final, bid_date_time
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY id, seller ORDER BY final) AS place
  FROM (
    SELECT a.id, a.seller, b.price AS final, b.date_time AS bid_date_time
    FROM STREAM auction AS a JOIN STREAM bid AS b ON a.id = b.auction
    WHERE b.date_time BETWEEN a.date_time AND a.expires
  ) AS while_open
) AS placed
WHERE place <= 1;

-- … and the average of the last eleven of each seller.
CREATE OR REFRESH MATERIALIZED VIEW q6_group_top1 AS
SELECT seller, avg(final) OVER (PARTITION BY seller ORDER BY bid_date_time ROWS BETWEEN 10 PRECEDING AND CURRENT ROW) AS average
FROM least_bid;
