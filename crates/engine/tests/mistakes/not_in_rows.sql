SELECT id FROM payments WHERE (id, card) NOT IN (SELECT id, card FROM payments)
