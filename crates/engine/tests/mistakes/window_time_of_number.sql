SELECT count(*) AS n FROM payments GROUP BY window(quantity, '1 minute')
