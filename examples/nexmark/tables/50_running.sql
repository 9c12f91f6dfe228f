-- Aggregates and rankings without a window: their rows change as bids come, and the tables hold the newest of each key.

-- q15: bids, bidders and auctions of each day, by rank of price.
CREATE OR REFRESH STREAMING TABLE q15 TBLPROPERTIES ('tidegate.output' = 'update') AS
SELECT date_format(date_time, 'yyyy-MM-dd') AS day,
       count(*) AS total_bids,
       count(*) FILTER (WHERE price < 10000) AS rank1_bids,
       count(*) FILTER (WHERE price >= 10000 AND price < 1000000) AS rank2_bids,
       count(*) FILTER (WHERE price >= 1000000) AS rank3_bids,
       count(DISTINCT bidder) AS total_bidders,
       count(DISTINCT bidder) FILTER (WHERE price < 10000) AS rank1_bidders,
       count(DISTINCT bidder) FILTER (WHERE price >= 10000 AND price < 1000000) AS rank2_bidders,
       count(DISTINCT bidder) FILTER (WHERE price >= 1000000) AS rank3_bidders,
       count(DISTINCT auction) AS total_auctions,
       count(DISTINCT auction) FILTER (WHERE price < 10000) AS rank1_auctions,
       count(DISTINCT auction) FILTER (WHERE price >= 10000 AND price < 1000000) AS rank2_auctions,
       count(DISTINCT auction) FILTER (WHERE price >= 1000000) AS rank3_auctions
FROM STREAM bid
GROUP BY date_format(date_time, 'yyyy-MM-dd');

-- q16: the same by channel. RisingWave's answers write HH:mm where PostgreSQL reads hour and month, and so it is here.
CREATE OR REFRESH STREAMING TABLE q16 TBLPROPERTIES ('tidegate.output' = 'update') AS
SELECT channel,
       date_format(date_time, 'yyyy-MM-dd') AS day,
       max(date_format(date_time, 'hh:MM')) AS minute,
       count(*) AS total_bids,
       count(*) FILTER (WHERE price < 10000) AS rank1_bids,
       count(*) FILTER (WHERE price >= 10000 AND price < 1000000) AS rank2_bids,
       count(*) FILTER (WHERE price >= 1000000) AS rank3_bids,
       count(DISTINCT bidder) AS total_bidders,
       count(DISTINCT bidder) FILTER (WHERE price < 10000) AS rank1_bidders,
       count(DISTINCT bidder) FILTER (WHERE price >= 10000 AND price < 1000000) AS rank2_bidders,
       count(DISTINCT bidder) FILTER (WHERE price >= 1000000) AS rank3_bidders,
       count(DISTINCT auction) AS total_auctions,
       count(DISTINCT auction) FILTER (WHERE price < 10000) AS rank1_auctions,
       count(DISTINCT auction) FILTER (WHERE price >= 10000 AND price < 1000000) AS rank2_auctions,
       count(DISTINCT auction) FILTER (WHERE price >= 1000000) AS rank3_auctions
FROM STREAM bid
GROUP BY channel, date_format(date_time, 'yyyy-MM-dd');

-- q17: how the bids on each auction went, day by day.
CREATE OR REFRESH STREAMING TABLE q17 TBLPROPERTIES ('tidegate.output' = 'update') AS
SELECT auction,
       date_format(date_time, 'yyyy-MM-dd') AS day,
       count(*) AS total_bids,
       count(*) FILTER (WHERE price < 10000) AS rank1_bids,
       count(*) FILTER (WHERE price >= 10000 AND price < 1000000) AS rank2_bids,
       count(*) FILTER (WHERE price >= 1000000) AS rank3_bids,
       min(price) AS min_price, max(price) AS max_price, avg(price) AS avg_price, sum(price) AS sum_price
FROM STREAM bid
GROUP BY auction, date_format(date_time, 'yyyy-MM-dd');

-- q18: the last bid of each bidder on each auction. Two of one bidder came in the same millisecond; the lesser counts,
-- so that the answer does not hang on the order of arrival.
CREATE OR REFRESH STREAMING TABLE q18 TBLPROPERTIES ('tidegate.output' = 'update') AS
SELECT auction, bidder, price, channel, url, date_time, extra
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY bidder, auction ORDER BY date_time DESC, price) AS place FROM STREAM bid
) AS placed
WHERE place <= 1;

-- q19: the ten highest bids on each auction.
CREATE OR REFRESH STREAMING TABLE q19 TBLPROPERTIES ('tidegate.output' = 'update') AS
SELECT auction, bidder, price, channel, url, date_time, extra, rank_number
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY auction ORDER BY price DESC) AS rank_number FROM STREAM bid
) AS placed
WHERE rank_number <= 10;

-- Bids on each auction: the state that q101 to q105 look at.
CREATE OR REFRESH STREAMING TABLE bids_by_auction TBLPROPERTIES ('tidegate.output' = 'update') AS
SELECT auction, count(*) AS bids, max(price) AS max_price FROM STREAM bid GROUP BY auction;

-- q101: the highest bid on each auction, or none.
CREATE OR REFRESH MATERIALIZED VIEW q101 AS
SELECT a.id, a.item_name, b.max_price FROM auction AS a LEFT JOIN bids_by_auction AS b ON a.id = b.auction;

-- q102: auctions with at least as many bids as the average one.
CREATE OR REFRESH MATERIALIZED VIEW q102 AS
SELECT a.id, a.item_name, b.bids FROM auction AS a JOIN bids_by_auction AS b ON a.id = b.auction
WHERE b.bids >= (SELECT sum(bids) DIV count(*) FROM bids_by_auction);

-- q103: auctions with twenty bids and more.
CREATE OR REFRESH MATERIALIZED VIEW q103 AS
SELECT id, item_name FROM auction WHERE id IN (SELECT auction FROM bids_by_auction WHERE bids >= 20);

-- q104: auctions that are not among those with fewer than twenty bids.
CREATE OR REFRESH MATERIALIZED VIEW q104 AS
SELECT id, item_name FROM auction WHERE id NOT IN (SELECT auction FROM bids_by_auction WHERE bids < 20);

-- q105: the thousand auctions with most bids.
CREATE OR REFRESH MATERIALIZED VIEW q105 AS
SELECT a.id, a.item_name, b.bids FROM auction AS a JOIN bids_by_auction AS b ON a.id = b.auction
ORDER BY b.bids DESC LIMIT 1000;
