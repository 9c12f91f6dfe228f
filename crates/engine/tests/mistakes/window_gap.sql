SELECT count(*) AS n FROM payments GROUP BY session_window(ts, card)
