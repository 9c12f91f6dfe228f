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
  UNION ALL SELECT CAST(d.`index` AS INT) AS row_index, 'beer_name' AS field, coalesce(d.beer_name, '') AS was, coalesce(c.beer_name, '') AS should_be FROM dirty AS d JOIN clean AS c ON d.`index` = c.`index`
  UNION ALL SELECT CAST(d.`index` AS INT) AS row_index, 'style' AS field, coalesce(d.style, '') AS was, coalesce(c.style, '') AS should_be FROM dirty AS d JOIN clean AS c ON d.`index` = c.`index`
  UNION ALL SELECT CAST(d.`index` AS INT) AS row_index, 'ounces' AS field, coalesce(d.ounces, '') AS was, coalesce(c.ounces, '') AS should_be FROM dirty AS d JOIN clean AS c ON d.`index` = c.`index`
  UNION ALL SELECT CAST(d.`index` AS INT) AS row_index, 'abv' AS field, coalesce(d.abv, '') AS was, coalesce(c.abv, '') AS should_be FROM dirty AS d JOIN clean AS c ON d.`index` = c.`index`
  UNION ALL SELECT CAST(d.`index` AS INT) AS row_index, 'ibu' AS field, coalesce(d.ibu, '') AS was, coalesce(c.ibu, '') AS should_be FROM dirty AS d JOIN clean AS c ON d.`index` = c.`index`
  UNION ALL SELECT CAST(d.`index` AS INT) AS row_index, 'brewery_id' AS field, coalesce(d.brewery_id, '') AS was, coalesce(c.brewery_id, '') AS should_be FROM dirty AS d JOIN clean AS c ON d.`index` = c.`index`
  UNION ALL SELECT CAST(d.`index` AS INT) AS row_index, 'brewery_name' AS field, coalesce(d.brewery_name, '') AS was, coalesce(c.brewery_name, '') AS should_be FROM dirty AS d JOIN clean AS c ON d.`index` = c.`index`
  UNION ALL SELECT CAST(d.`index` AS INT) AS row_index, 'city' AS field, coalesce(d.city, '') AS was, coalesce(c.city, '') AS should_be FROM dirty AS d JOIN clean AS c ON d.`index` = c.`index`
  UNION ALL SELECT CAST(d.`index` AS INT) AS row_index, 'state' AS field, coalesce(d.state, '') AS was, coalesce(c.state, '') AS should_be FROM dirty AS d JOIN clean AS c ON d.`index` = c.`index`
) AS pairs
WHERE was <> should_be;

-- What the gate said was wrong, field by field. Its own record is what is scored.
CREATE OR REFRESH MATERIALIZED VIEW suspects COMMENT 'fields that the gate found wrong' AS
SELECT DISTINCT row_index, reason['column'] AS field
FROM (
  SELECT CAST(element_at(fields, 'index') AS INT) AS row_index, explode(reasons) AS reason FROM beers__quarantine
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
