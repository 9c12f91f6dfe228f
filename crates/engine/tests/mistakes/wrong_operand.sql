SELECT amount + card FROM payments WHERE ts > 5
