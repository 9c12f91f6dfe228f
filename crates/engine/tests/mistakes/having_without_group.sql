SELECT id FROM payments HAVING id > 1
