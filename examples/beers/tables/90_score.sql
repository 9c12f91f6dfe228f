-- How good are the contract and the repair? Only this file looks at truth/clean.csv, the same beers without errors: a
-- field is wrong where the two differ as text.
CREATE TEMPORARY VIEW dirty AS
SELECT * FROM read_files('landing/beers/*.csv', format => 'csv', nullValue => '', inferSchema => 'false');

CREATE TEMPORARY VIEW clean AS
SELECT `index`, id, `beer-name` AS beer_name, style, ounces, abv, ibu, brewery_id, `brewery-name` AS brewery_name, city, state
FROM read_files('truth/clean.csv', format => 'csv', nullValue => '', inferSchema => 'false');

-- Each field of each beer: as it came, and as it should be. An empty field is an empty text here.
CREATE OR REFRESH MATERIALIZED VIEW wrong_fields AS
SELECT row_index, field, was, should_be
FROM (
            SELECT CAST(d.`index` AS INT) AS row_index, 'id' AS field, coalesce(d.id, '') AS was, coalesce(c.id, '') AS should_be FROM dirty AS d JOIN clean AS c ON d.`index` = c.`index`
  UNION ALL SELECT CAST(d.`index` AS INT), 'beer_name',    coalesce(d.beer_name, ''),    coalesce(c.beer_name, '')    FROM dirty AS d JOIN clean AS c ON d.`index` = c.`index`
  UNION ALL SELECT CAST(d.`index` AS INT), 'style',        coalesce(d.style, ''),        coalesce(c.style, '')        FROM dirty AS d JOIN clean AS c ON d.`index` = c.`index`
  UNION ALL SELECT CAST(d.`index` AS INT), 'ounces',       coalesce(d.ounces, ''),       coalesce(c.ounces, '')       FROM dirty AS d JOIN clean AS c ON d.`index` = c.`index`
  UNION ALL SELECT CAST(d.`index` AS INT), 'abv',          coalesce(d.abv, ''),          coalesce(c.abv, '')          FROM dirty AS d JOIN clean AS c ON d.`index` = c.`index`
  UNION ALL SELECT CAST(d.`index` AS INT), 'ibu',          coalesce(d.ibu, ''),          coalesce(c.ibu, '')          FROM dirty AS d JOIN clean AS c ON d.`index` = c.`index`
  UNION ALL SELECT CAST(d.`index` AS INT), 'brewery_id',   coalesce(d.brewery_id, ''),   coalesce(c.brewery_id, '')   FROM dirty AS d JOIN clean AS c ON d.`index` = c.`index`
  UNION ALL SELECT CAST(d.`index` AS INT), 'brewery_name', coalesce(d.brewery_name, ''), coalesce(c.brewery_name, '') FROM dirty AS d JOIN clean AS c ON d.`index` = c.`index`
  UNION ALL SELECT CAST(d.`index` AS INT), 'city',         coalesce(d.city, ''),         coalesce(c.city, '')         FROM dirty AS d JOIN clean AS c ON d.`index` = c.`index`
  UNION ALL SELECT CAST(d.`index` AS INT), 'state',        coalesce(d.state, ''),        coalesce(c.state, '')        FROM dirty AS d JOIN clean AS c ON d.`index` = c.`index`
) AS pairs
WHERE was <> should_be;

-- What the gate said was wrong, field by field. Its own record is what is scored.
CREATE OR REFRESH MATERIALIZED VIEW suspects COMMENT 'fields that the gate found wrong' AS
SELECT DISTINCT row_index, reason['column'] AS field
FROM (
  SELECT CAST(fields['index'] AS INT) AS row_index, explode(reasons) AS reason FROM beers__quarantine
) AS kept_out;

-- What is in the table in place of the wrong fields, once they were repaired and sent through the gate again.
CREATE OR REFRESH MATERIALIZED VIEW repaired_fields AS
SELECT w.row_index, w.field, w.was, w.should_be,
       CASE w.field
         WHEN 'ounces' THEN b.ounces = CAST(w.should_be AS DOUBLE)
         WHEN 'abv'    THEN b.abv = CAST(w.should_be AS DOUBLE)
         WHEN 'ibu'    THEN coalesce(CAST(b.ibu AS STRING), '') = w.should_be
         WHEN 'city'   THEN b.city = w.should_be
         WHEN 'state'  THEN b.state = w.should_be
       END AS as_it_should_be
FROM wrong_fields AS w JOIN beers AS b ON b.`index` = w.row_index;

-- A promise about our own work: should a change of the contract find less, the update stops.
CREATE OR REFRESH MATERIALIZED VIEW score (
  CONSTRAINT precise_enough  EXPECT (precision >= 0.99) ON VIOLATION FAIL UPDATE,
  CONSTRAINT thorough_enough EXPECT (recall >= 0.99)    ON VIOLATION FAIL UPDATE
)
COMMENT 'wrong fields: how many there are, were found, were suspected, and are as they should be after a repair'
AS SELECT
  wrong, suspected, found,
  round(CAST(found AS DOUBLE) / suspected, 4) AS precision,
  round(CAST(found AS DOUBLE) / wrong, 4) AS recall,
  repaired
FROM (
  SELECT
    (SELECT count(*) FROM wrong_fields) AS wrong,
    (SELECT count(*) FROM suspects) AS suspected,
    (SELECT count(*) FROM suspects AS s JOIN wrong_fields AS w ON s.row_index = w.row_index AND s.field = w.field) AS found,
    (SELECT count(*) FROM repaired_fields WHERE as_it_should_be) AS repaired
) AS counted;
