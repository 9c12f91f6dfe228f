SELECT id FROM payments SORT BY id
