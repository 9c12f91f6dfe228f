SELECT window(ts, '1 hour', '5 minutes') AS w, id FROM payments
