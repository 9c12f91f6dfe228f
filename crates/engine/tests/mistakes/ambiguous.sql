SELECT card FROM payments JOIN cards ON payments.card = cards.card
