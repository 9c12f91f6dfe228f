SELECT card, currency, count(*) FROM payments GROUP BY card
