SELECT id, ammount FROM payments
