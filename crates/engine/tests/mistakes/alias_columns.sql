SELECT a FROM (SELECT id, card FROM payments) AS t(a)
