-- How good is the contract? Only this file looks at truth/clean.csv, the same reports without errors: a field is
-- wrong where the two differ as text.
CREATE TEMPORARY VIEW clean AS
SELECT * FROM read_files('truth/clean.csv', format => 'csv', inferSchema => 'false');

CREATE TEMPORARY VIEW wrong_fields AS
            SELECT row_index, 'provider_number' AS field FROM hospital_raw JOIN clean ON row_index = CAST(clean.index AS INT) WHERE provider_number <> ProviderNumber
  UNION ALL SELECT row_index, 'name'              FROM hospital_raw JOIN clean ON row_index = CAST(clean.index AS INT) WHERE name <> HospitalName
  UNION ALL SELECT row_index, 'address_1'         FROM hospital_raw JOIN clean ON row_index = CAST(clean.index AS INT) WHERE address_1 <> Address1
  UNION ALL SELECT row_index, 'city'              FROM hospital_raw JOIN clean ON row_index = CAST(clean.index AS INT) WHERE hospital_raw.city <> clean.City
  UNION ALL SELECT row_index, 'state'             FROM hospital_raw JOIN clean ON row_index = CAST(clean.index AS INT) WHERE hospital_raw.state <> clean.State
  UNION ALL SELECT row_index, 'zip'               FROM hospital_raw JOIN clean ON row_index = CAST(clean.index AS INT) WHERE zip <> ZipCode
  UNION ALL SELECT row_index, 'county'            FROM hospital_raw JOIN clean ON row_index = CAST(clean.index AS INT) WHERE county <> CountyName
  UNION ALL SELECT row_index, 'phone'             FROM hospital_raw JOIN clean ON row_index = CAST(clean.index AS INT) WHERE phone <> PhoneNumber
  UNION ALL SELECT row_index, 'type'              FROM hospital_raw JOIN clean ON row_index = CAST(clean.index AS INT) WHERE type <> HospitalType
  UNION ALL SELECT row_index, 'owner'             FROM hospital_raw JOIN clean ON row_index = CAST(clean.index AS INT) WHERE owner <> HospitalOwner
  UNION ALL SELECT row_index, 'emergency_service' FROM hospital_raw JOIN clean ON row_index = CAST(clean.index AS INT) WHERE emergency_service <> EmergencyService
  UNION ALL SELECT row_index, 'condition'         FROM hospital_raw JOIN clean ON row_index = CAST(clean.index AS INT) WHERE hospital_raw.condition <> clean.Condition
  UNION ALL SELECT row_index, 'measure_code'      FROM hospital_raw JOIN clean ON row_index = CAST(clean.index AS INT) WHERE measure_code <> MeasureCode
  UNION ALL SELECT row_index, 'measure_name'      FROM hospital_raw JOIN clean ON row_index = CAST(clean.index AS INT) WHERE measure_name <> MeasureName
  UNION ALL SELECT row_index, 'score'             FROM hospital_raw JOIN clean ON row_index = CAST(clean.index AS INT) WHERE hospital_raw.score <> clean.Score
  UNION ALL SELECT row_index, 'sample'            FROM hospital_raw JOIN clean ON row_index = CAST(clean.index AS INT) WHERE hospital_raw.sample <> clean.Sample
  UNION ALL SELECT row_index, 'state_average'     FROM hospital_raw JOIN clean ON row_index = CAST(clean.index AS INT) WHERE state_average <> Stateavg;

-- A promise about our own work: should a change of the contract find less, the update stops.
CREATE OR REFRESH MATERIALIZED VIEW score (
  CONSTRAINT precise_enough  EXPECT (precision >= 0.99) ON VIOLATION FAIL UPDATE,
  CONSTRAINT thorough_enough EXPECT (recall >= 0.99)    ON VIOLATION FAIL UPDATE
)
COMMENT 'wrong fields: how many there are, how many were found, how many were suspected'
AS SELECT
  wrong, suspected, found,
  round(CAST(found AS DOUBLE) / suspected, 4) AS precision,
  round(CAST(found AS DOUBLE) / wrong, 4) AS recall
FROM (
  SELECT
    (SELECT count(*) FROM wrong_fields) AS wrong,
    (SELECT count(*) FROM suspects) AS suspected,
    (SELECT count(*) FROM suspects AS s JOIN wrong_fields AS w ON s.row_index = w.row_index AND s.field = w.field) AS found
) AS counted;
