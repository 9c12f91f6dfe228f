SELECT id, card FROM payments UNION ALL SELECT card FROM cards
