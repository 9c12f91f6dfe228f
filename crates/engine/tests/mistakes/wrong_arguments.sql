SELECT id, date_trunc(5) FROM payments
