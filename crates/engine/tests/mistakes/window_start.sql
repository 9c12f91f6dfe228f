SELECT count(*) AS n FROM payments GROUP BY window(ts, '5 minutes', '1 minute', '1 minute')
