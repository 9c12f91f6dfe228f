CREATE STREAMING TABLE payments AS SELECT * FROM STREAM read_files('landing/*.csv');

CREATE STREAMING TABLE totals AS
SELECT card, count(*) AS n, sum(amount) AS total FROM STREAM payments GROUP BY card;

CREATE STREAMING TABLE history AS
SELECT card, total, _change_type AS what, _commit_version AS version FROM STREAM table_changes('totals');

CREATE STREAMING TABLE raised AS
SELECT card, sum(CASE WHEN _change_type IN ('delete', 'update_preimage') THEN -total ELSE total END) AS total
FROM STREAM table_changes('totals') GROUP BY card;

CREATE MATERIALIZED VIEW dearest AS SELECT card FROM totals ORDER BY total DESC LIMIT 1;

CREATE STREAMING TABLE leaders AS
SELECT card, _change_type AS what FROM STREAM table_changes('dearest');
