WITH big AS (SELECT id, amount FROM payments) SELECT identifier FROM big
