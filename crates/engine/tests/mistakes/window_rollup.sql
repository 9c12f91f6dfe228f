SELECT card, count(*) AS n FROM payments GROUP BY CUBE (card, session_window(ts, '1 minute'))
