SELECT id, to_json(id) AS j FROM payments
