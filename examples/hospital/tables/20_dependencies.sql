-- One hospital has one name, address and owner; one measure has one name and belongs to one condition. Where
-- a few of a hospital's many reports say otherwise, they are suspected. A hospital is recognised by its number,
-- by its name or by its phone, since each of them may be the field that is misspelt.

-- Every field of every report as a row of its own.
CREATE TEMPORARY VIEW hospital_fields AS
            SELECT row_index, provider_number, name, phone, 'provider_number' AS field, provider_number AS value FROM hospital_raw
  UNION ALL SELECT row_index, provider_number, name, phone, 'name' AS field, name AS value FROM hospital_raw
  UNION ALL SELECT row_index, provider_number, name, phone, 'address_1' AS field, address_1 AS value FROM hospital_raw
  UNION ALL SELECT row_index, provider_number, name, phone, 'city' AS field, city AS value FROM hospital_raw
  UNION ALL SELECT row_index, provider_number, name, phone, 'state' AS field, state AS value FROM hospital_raw
  UNION ALL SELECT row_index, provider_number, name, phone, 'zip' AS field, zip AS value FROM hospital_raw
  UNION ALL SELECT row_index, provider_number, name, phone, 'county' AS field, county AS value FROM hospital_raw
  UNION ALL SELECT row_index, provider_number, name, phone, 'phone' AS field, phone AS value FROM hospital_raw
  UNION ALL SELECT row_index, provider_number, name, phone, 'type' AS field, type AS value FROM hospital_raw
  UNION ALL SELECT row_index, provider_number, name, phone, 'owner' AS field, owner AS value FROM hospital_raw
  UNION ALL SELECT row_index, provider_number, name, phone, 'emergency_service' AS field, emergency_service AS value FROM hospital_raw;

CREATE TEMPORARY VIEW measure_fields AS
            SELECT row_index, measure_code, measure_name, 'condition' AS field, condition AS value FROM hospital_raw
  UNION ALL SELECT row_index, measure_code, measure_name, 'measure_code' AS field, measure_code AS value FROM hospital_raw
  UNION ALL SELECT row_index, measure_code, measure_name, 'measure_name' AS field, measure_name AS value FROM hospital_raw;

-- What each report says about whom: `subject` is whom, named in every way that we have.
CREATE TEMPORARY VIEW statements AS
            SELECT row_index, concat('hospital number ', provider_number) AS subject, field, value FROM hospital_fields
  UNION ALL SELECT row_index, concat('hospital named ', name), field, value FROM hospital_fields
  UNION ALL SELECT row_index, concat('hospital with phone ', phone), field, value FROM hospital_fields
  UNION ALL SELECT row_index, concat('measure ', measure_code), field, value FROM measure_fields
  UNION ALL SELECT row_index, concat('measure named ', measure_name), field, value FROM measure_fields
  UNION ALL SELECT row_index, concat('measure ', measure_code, ' in ', state) AS subject, 'state_average' AS field, state_average AS value
            FROM hospital_raw;

-- What is usually said: by three reports or more, and by two in three at least.
CREATE OR REFRESH MATERIALIZED VIEW usual_values COMMENT 'what most reports say about a hospital or a measure' AS
SELECT subject, field, value AS usual, votes, total
FROM (
  SELECT subject, field, value, votes,
         sum(votes) OVER (PARTITION BY subject, field) AS total,
         row_number() OVER (PARTITION BY subject, field ORDER BY votes DESC, value) AS place
  FROM (SELECT subject, field, value, count(*) AS votes FROM statements GROUP BY subject, field, value) AS counted
) AS ranked
WHERE place = 1 AND votes >= 3 AND votes * 3 >= total * 2;

CREATE OR REFRESH MATERIALIZED VIEW suspects COMMENT 'fields that are probably wrong, and what they probably should be' AS
SELECT row_index, field, max(value) AS value, max(usual) AS usual, max(broken) AS broken_promise
FROM (
  SELECT s.row_index, s.field, s.value, u.usual, CAST(NULL AS STRING) AS broken
  FROM statements AS s JOIN usual_values AS u ON s.subject = u.subject AND s.field = u.field
  WHERE s.value <> u.usual
  UNION ALL
  SELECT row_index, reason['column'] AS field, reason['value'] AS value, CAST(NULL AS STRING) AS usual, reason['constraint'] AS broken
  FROM (
    SELECT CAST(element_at(fields, 'index') AS INT) AS row_index, explode(reasons) AS reason FROM hospital__quarantine
  ) AS kept_out
) AS both_ways
GROUP BY row_index, field;
