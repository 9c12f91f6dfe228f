SELECT get_json_object(card, currency) FROM payments
