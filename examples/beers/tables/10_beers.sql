-- What a table of beers should hold before anyone can compute with it: sizes, strengths and bitterness are numbers, a
-- state is two letters, and a city does not carry its state along. Nothing here was learned from truth/clean.csv.
-- Only an empty field means that nothing is known: a word such as N/A in a number is to be seen, not to vanish.
CREATE OR REFRESH STREAMING TABLE beers (
  `index`      INT    NOT NULL PRIMARY KEY COMMENT 'row of the file, from 1',
  id           BIGINT NOT NULL,
  beer_name    STRING NOT NULL,
  style        STRING,
  ounces       DOUBLE NOT NULL COMMENT 'size of the can',
  abv          DOUBLE COMMENT 'alcohol by volume, as a share of 1',
  ibu          INT    COMMENT 'bitterness',
  brewery_id   INT    NOT NULL,
  brewery_name STRING NOT NULL,
  city         STRING NOT NULL,
  state        STRING NOT NULL,
  CONSTRAINT can_be_held        EXPECT (ounces BETWEEN 1 AND 64)            ON VIOLATION QUARANTINE,
  CONSTRAINT abv_is_a_share     EXPECT (abv IS NULL OR abv BETWEEN 0 AND 1) ON VIOLATION QUARANTINE,
  CONSTRAINT ibu_can_be_tasted  EXPECT (ibu IS NULL OR ibu BETWEEN 0 AND 200) ON VIOLATION QUARANTINE,
  CONSTRAINT two_letter_state   EXPECT (state RLIKE '^[A-Z]{2}$')           ON VIOLATION QUARANTINE,
  CONSTRAINT city_without_state EXPECT (NOT city RLIKE ' [A-Z]{2}$')        ON VIOLATION QUARANTINE
)
COMMENT 'beers that one can compute with'
AS SELECT * FROM STREAM read_files('landing/beers/*.csv', format => 'csv', nullValue => '');
