SELECT p.amont FROM payments p JOIN cards c ON p.card = c.card
