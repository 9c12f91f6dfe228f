SELECT id, amount, currency, quantity, ts, card, amount * quantity AS total, ammount * quantity AS other_total, currency || card AS name FROM payments
