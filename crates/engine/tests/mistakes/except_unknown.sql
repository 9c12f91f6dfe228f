SELECT * EXCEPT (amont) FROM payments
