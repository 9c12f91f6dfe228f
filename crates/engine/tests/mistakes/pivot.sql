SELECT * FROM payments PIVOT (sum(amount) FOR currency IN ('EUR', 'USD'))
