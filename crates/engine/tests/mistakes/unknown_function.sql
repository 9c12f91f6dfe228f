SELECT sume(amount) FROM payments
