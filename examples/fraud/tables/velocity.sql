-- How fast a card is used: in each minute that began at a full ten seconds. The newest numbers take the place of older ones.
CREATE OR REFRESH STREAMING TABLE card_velocity
TBLPROPERTIES ('tidegate.output' = 'update')
AS SELECT card, window(ts, '1 minute', '10 seconds') AS w, count(*) AS payments, sum(amount) AS total
FROM STREAM payments_accepted WATERMARK ts DELAY OF INTERVAL 10 SECONDS
GROUP BY card, window(ts, '1 minute', '10 seconds');
