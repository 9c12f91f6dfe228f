SELECT pay.id FROM payments p
