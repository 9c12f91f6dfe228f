-- Are the answers those that are known? Only this file looks at expected/: each answer as text, with single blanks
-- between columns, and no more than five digits behind the point.
CREATE TEMPORARY VIEW answers AS
          SELECT 'q0' AS query, concat_ws(' ', auction, bidder, price, date_time) AS line FROM q0
UNION ALL SELECT 'q1', concat_ws(' ', auction, bidder, price, date_time) FROM q1
UNION ALL SELECT 'q2', concat_ws(' ', auction, price) FROM q2
UNION ALL SELECT 'q3', concat_ws(' ', name, city, state, id) FROM q3
UNION ALL SELECT 'q4', concat_ws(' ', category, CAST(average AS DECIMAL(20, 6))) FROM q4
UNION ALL SELECT 'q5', concat_ws(' ', auction, num) FROM q5
UNION ALL SELECT 'q6_group_top1', concat_ws(' ', seller, CAST(average AS DECIMAL(20, 6))) FROM q6_group_top1
UNION ALL SELECT 'q7', concat_ws(' ', auction, price, bidder, date_time) FROM q7
UNION ALL SELECT 'q8', concat_ws(' ', id, name, starts) FROM q8
UNION ALL SELECT 'q9', concat_ws(' ', id, item_name, description, initial_bid, reserve, date_time, expires, seller, category, auction, bidder, price, bid_date_time) FROM q9
UNION ALL SELECT 'q10', concat_ws(' ', auction, bidder, price, date_time, date, time) FROM q10
UNION ALL SELECT 'q11', concat_ws(' ', bidder, bids, starts, ends) FROM q11
UNION ALL SELECT 'q14', concat_ws(' ', auction, bidder, price, bid_time_type, date_time, c_counts) FROM q14
UNION ALL SELECT 'q15', concat_ws(' ', day, total_bids, rank1_bids, rank2_bids, rank3_bids, total_bidders, rank1_bidders, rank2_bidders, rank3_bidders, total_auctions, rank1_auctions, rank2_auctions, rank3_auctions) FROM q15
UNION ALL SELECT 'q16', concat_ws(' ', channel, day, minute, total_bids, rank1_bids, rank2_bids, rank3_bids, total_bidders, rank1_bidders, rank2_bidders, rank3_bidders, total_auctions, rank1_auctions, rank2_auctions, rank3_auctions) FROM q16
UNION ALL SELECT 'q17', concat_ws(' ', auction, day, total_bids, rank1_bids, rank2_bids, rank3_bids, min_price, max_price, CAST(avg_price AS DECIMAL(20, 6)), sum_price) FROM q17
UNION ALL SELECT 'q18', concat_ws(' ', auction, bidder, price, channel, url, date_time, extra) FROM q18
UNION ALL SELECT 'q19', concat_ws(' ', auction, bidder, price, channel, url, date_time, extra, rank_number) FROM q19
UNION ALL SELECT 'q20', concat_ws(' ', auction, bidder, price, channel, url, bid_date_time, bid_extra, item_name, description, initial_bid, reserve, auction_date_time, expires, seller, category, auction_extra) FROM q20
UNION ALL SELECT 'q21', concat_ws(' ', auction, bidder, price, channel, channel_id) FROM q21
UNION ALL SELECT 'q22', concat_ws(' ', auction, bidder, price, channel, dir1, dir2, dir3) FROM q22
UNION ALL SELECT 'q101', concat_ws(' ', id, item_name, coalesce(CAST(max_price AS STRING), 'NULL')) FROM q101
UNION ALL SELECT 'q102', concat_ws(' ', id, item_name, bids) FROM q102
UNION ALL SELECT 'q103', concat_ws(' ', id, item_name) FROM q103
UNION ALL SELECT 'q104', concat_ws(' ', id, item_name) FROM q104
UNION ALL SELECT 'q105', concat_ws(' ', id, item_name, bids) FROM q105
UNION ALL SELECT 'q106', concat_ws(' ', min_final) FROM q106;

-- The answer to q11 came with none: it is the same question, asked of all bids at once.
CREATE TEMPORARY VIEW sessions AS
SELECT bidder, count(*) AS bids, session_window(date_time, '10 seconds').start AS starts,
       session_window(date_time, '10 seconds').end AS ends
FROM bid
GROUP BY bidder, session_window(date_time, '10 seconds');

-- Each line that is known or given, and how often it is.
CREATE TEMPORARY VIEW compared AS
SELECT query, line, sum(known) AS known, sum(given) AS given
FROM (
  SELECT query, known, given,
         regexp_replace(regexp_replace(cut, '\\.0+( |$)', '$1'), '(\\.\\d*?[1-9])0+( |$)', '$1$2') AS line
  FROM (
    SELECT query, known, given, regexp_replace(regexp_replace(trim(line), '\\s+', ' '), '(\\.\\d{5})\\d+', '$1') AS cut
    FROM (
      SELECT replace(_metadata.file_name, '.expected.tsv', '') AS query, value AS line, 1 AS known, 0 AS given
      FROM read_files('expected/*.tsv', format => 'text')
      UNION ALL
      SELECT 'q11', concat_ws(' ', bidder, bids, starts, ends), 1, 0 FROM sessions
      UNION ALL
      SELECT query, line, 0, 1 FROM answers
    ) AS both
  ) AS lines
) AS cleaned
GROUP BY query, line;

-- Has all come: the tick of each stream?
CREATE TEMPORARY VIEW complete AS
SELECT (SELECT count(*) FROM bid_stream WHERE auction IS NULL) > 0
   AND (SELECT count(*) FROM auction_stream WHERE id IS NULL) > 0
   AND (SELECT count(*) FROM person_stream WHERE id IS NULL) > 0 AS complete;

-- A promise about our own work: once all has come, an answer that is not the known one stops the update.
CREATE OR REFRESH MATERIALIZED VIEW score (
  CONSTRAINT as_known EXPECT (NOT complete OR missing + unexpected = 0) ON VIOLATION FAIL UPDATE
)
COMMENT 'by query: how many rows its known answer has, and how many of them are missing or are not in it'
AS SELECT query, sum(known) AS known, sum(greatest(known - given, 0)) AS missing, sum(greatest(given - known, 0)) AS unexpected,
          first(complete) AS complete
FROM compared CROSS JOIN complete
GROUP BY query;
