SELECT window(ts, '1 hour', '10 minutes') AS w FROM payments GROUP BY window(ts, '1 hour', '5 minutes')
