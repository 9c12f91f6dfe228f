SELECT count(*) AS n FROM payments WHERE session_window(ts, '1 hour').start > TIMESTAMP '2024-01-01' GROUP BY session_window(ts, '1 hour')
