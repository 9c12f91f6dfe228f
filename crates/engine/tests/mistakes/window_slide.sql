SELECT count(*) AS n FROM payments GROUP BY window(ts, '5 minutes', '10 minutes')
