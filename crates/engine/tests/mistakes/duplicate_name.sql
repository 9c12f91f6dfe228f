SELECT id AS a, quantity AS a FROM payments
