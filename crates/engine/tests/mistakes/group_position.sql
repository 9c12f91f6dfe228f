SELECT card FROM payments GROUP BY 3
