CREATE MATERIALIZED VIEW a AS SELECT 1 AS a;
/* a comment /* within */ a comment
