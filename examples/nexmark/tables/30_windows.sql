-- Windows of time, appended once they have closed: when the streams that they read, or their ticks, are past their ends
-- by the delay of four seconds in which rows may come out of order.

-- q5: the hottest auctions of each ten seconds, every two seconds.
CREATE OR REFRESH STREAMING TABLE q5 AS
SELECT bids.auction, bids.num
FROM (
  SELECT auction, count(*) AS num, window(date_time, '10 seconds', '2 seconds').start AS starts
  FROM STREAM bid_stream WATERMARK date_time DELAY OF INTERVAL 4 SECONDS
  GROUP BY auction, window(date_time, '10 seconds', '2 seconds').start
) AS bids
JOIN (
  SELECT max(num) AS most, starts
  FROM (
    SELECT auction, count(*) AS num, window(date_time, '10 seconds', '2 seconds').start AS starts
    FROM STREAM bid_stream WATERMARK date_time DELAY OF INTERVAL 4 SECONDS
    GROUP BY auction, window(date_time, '10 seconds', '2 seconds').start
  ) AS counted
  GROUP BY starts
) AS highest
ON bids.starts = highest.starts AND bids.num >= highest.most;

-- q7: the highest bids of each ten seconds.
CREATE OR REFRESH STREAMING TABLE q7 AS
SELECT b.auction, b.price, b.bidder, b.date_time
FROM STREAM bid_stream WATERMARK date_time DELAY OF INTERVAL 4 SECONDS AS b
JOIN (
  SELECT max(price) AS highest, window(date_time, '10 seconds').end AS ends
  FROM STREAM bid_stream WATERMARK date_time DELAY OF INTERVAL 4 SECONDS
  GROUP BY window(date_time, '10 seconds').end
) AS w
ON b.price = w.highest
WHERE b.date_time BETWEEN w.ends - INTERVAL 10 SECONDS AND w.ends;

-- q8: who opened an auction in the ten seconds in which they came.
CREATE OR REFRESH STREAMING TABLE q8 AS
SELECT p.id, p.name, p.starts
FROM (
  SELECT id, name, window(date_time, '10 seconds').start AS starts, window(date_time, '10 seconds').end AS ends
  FROM STREAM person_stream WATERMARK date_time DELAY OF INTERVAL 4 SECONDS
  GROUP BY id, name, window(date_time, '10 seconds').start, window(date_time, '10 seconds').end
) AS p
JOIN (
  SELECT seller, window(date_time, '10 seconds').start AS starts, window(date_time, '10 seconds').end AS ends
  FROM STREAM auction_stream WATERMARK date_time DELAY OF INTERVAL 4 SECONDS
  GROUP BY seller, window(date_time, '10 seconds').start, window(date_time, '10 seconds').end
) AS a
ON p.id = a.seller AND p.starts = a.starts AND p.ends = a.ends;

-- q11: how many bids each bidder made in one go, pauses of less than ten seconds included.
CREATE OR REFRESH STREAMING TABLE q11 AS
SELECT bidder, count(*) AS bids, session_window(date_time, '10 seconds').start AS starts,
       session_window(date_time, '10 seconds').end AS ends
FROM STREAM bid_stream WATERMARK date_time DELAY OF INTERVAL 4 SECONDS
GROUP BY bidder, session_window(date_time, '10 seconds');
