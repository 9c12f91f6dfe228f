SELECT idd, nofun(card) FROM payments WHERE cardd = 'x'
