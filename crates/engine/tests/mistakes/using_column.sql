SELECT id FROM payments JOIN cards USING (id)
