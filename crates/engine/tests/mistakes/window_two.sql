SELECT count(*) AS n FROM payments GROUP BY window(ts, '1 hour', '5 minutes'), session_window(ts, '1 minute')
