-- What is known of a hospital's report before looking at the data: numbers have so many digits, a state is
-- one of two, an answer is yes or no, a share is a per cent. Nothing here was learned from truth/clean.csv.
-- Identifiers stay text: they are never added up, and a leading zero must not get lost.
CREATE OR REFRESH STREAMING TABLE hospital (
  `index`           INT    NOT NULL PRIMARY KEY COMMENT 'row of the file, from 1',
  provider_number   STRING NOT NULL COMMENT 'the hospital, as Medicare numbers it',
  name              STRING NOT NULL,
  address_1         STRING,
  address_2         STRING,
  address_3         STRING,
  city              STRING NOT NULL,
  state             STRING NOT NULL,
  zip               STRING NOT NULL,
  county            STRING,
  phone             STRING,
  type              STRING,
  owner             STRING,
  emergency_service STRING,
  condition         STRING NOT NULL,
  measure_code      STRING NOT NULL,
  measure_name      STRING NOT NULL,
  score             STRING COMMENT 'a per cent, or the word empty',
  sample            STRING COMMENT 'how many patients, or the word empty',
  state_average     STRING COMMENT 'state and measure that the average is of',
  CONSTRAINT provider_has_five_digits EXPECT (provider_number RLIKE '^[0-9]{5}$') ON VIOLATION QUARANTINE,
  CONSTRAINT zip_has_five_digits      EXPECT (zip RLIKE '^[0-9]{5}$') ON VIOLATION QUARANTINE,
  CONSTRAINT phone_has_ten_digits     EXPECT (phone RLIKE '^[0-9]{10}$') ON VIOLATION QUARANTINE,
  CONSTRAINT known_state              EXPECT (state IN ('al', 'ak')) ON VIOLATION QUARANTINE,
  CONSTRAINT yes_or_no                EXPECT (emergency_service IN ('yes', 'no')) ON VIOLATION QUARANTINE,
  CONSTRAINT known_type EXPECT (type IN ('acute care hospitals', 'critical access hospitals', 'childrens hospitals'))
    ON VIOLATION QUARANTINE,
  CONSTRAINT known_owner EXPECT (owner IN (
      'government - federal', 'government - state', 'government - local',
      'government - hospital district or authority', 'proprietary',
      'voluntary non-profit - church', 'voluntary non-profit - other', 'voluntary non-profit - private'))
    ON VIOLATION QUARANTINE,
  CONSTRAINT known_condition EXPECT (condition IN (
      'heart attack', 'heart failure', 'pneumonia', 'surgical infection prevention', 'children s asthma care'))
    ON VIOLATION QUARANTINE,
  CONSTRAINT measure_has_a_family EXPECT (measure_code RLIKE '^(ami|hf|pn|scip|cac)-[a-z0-9-]+$') ON VIOLATION QUARANTINE,
  CONSTRAINT average_names_both EXPECT (state_average RLIKE '^(al|ak)_(ami|hf|pn|scip|cac)-[a-z0-9-]+$')
    ON VIOLATION QUARANTINE,
  CONSTRAINT score_is_a_share EXPECT (score RLIKE '^([0-9]{1,3}%|empty)$') ON VIOLATION QUARANTINE,
  CONSTRAINT sample_is_a_count EXPECT (sample RLIKE '^([0-9]+ patients|empty)$') ON VIOLATION QUARANTINE
)
COMMENT 'reports in which every field has the form it should have'
AS SELECT * FROM STREAM read_files('landing/hospital/*.csv', format => 'csv');

-- The same reports as they came, for what can only be seen by comparing rows: a misspelt city is found by
-- the other reports of the same hospital, and those must all be there, good or not.
CREATE OR REFRESH STREAMING TABLE hospital_raw COMMENT 'every report as it came'
AS SELECT
  CAST(`index` AS INT) AS row_index,
  CAST(provider_number AS STRING) AS provider_number, name, address_1, city, state, CAST(zip AS STRING) AS zip, county,
  CAST(phone AS STRING) AS phone, type, owner, emergency_service, condition, measure_code, measure_name, score, sample,
  state_average
FROM STREAM read_files('landing/hospital/*.csv', format => 'csv', inferSchema => 'false');
