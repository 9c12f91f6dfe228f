SELECT count(*) AS n FROM payments GROUP BY cumulate_window(ts, '1 hour', '7 minutes')
