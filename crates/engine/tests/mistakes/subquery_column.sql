SELECT id FROM payments WHERE EXISTS (SELECT 1 FROM cards WHERE cards.crd = payments.card)
