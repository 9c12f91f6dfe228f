SELECT id FROM payments WHERE sum(amount) > 5
