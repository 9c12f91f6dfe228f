CREATE STREAMING TABLE payments AS SELECT * FROM STREAM read_files('x');
CREATE MATERIALIZED VIEW a AS SELECT * FROM paymnets p JOIN customers USING (id);
CREATE MATERIALIZED VIEW b AS SELECT * FROM sales.payments, payments__quarantin, b2__quarantine;
CREATE TEMPORARY VIEW b2 AS SELECT * FROM outside.known, outside.unknown;
