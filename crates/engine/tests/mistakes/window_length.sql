SELECT count(*) AS n FROM payments GROUP BY window(ts, '1 month')
