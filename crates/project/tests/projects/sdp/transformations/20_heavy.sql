CREATE STREAMING TABLE heavy;
CREATE FLOW heavy_parcels AS INSERT INTO heavy BY NAME SELECT * FROM STREAM deliveries WHERE weight > 30;
CREATE FLOW heavy_letters AS INSERT INTO heavy BY NAME SELECT * FROM STREAM logistics.deliveries WHERE weight BETWEEN 0.5 AND 1;
CREATE TEMPORARY VIEW by_weight AS SELECT round(weight) AS kilograms, count(*) AS n FROM heavy GROUP BY round(weight);
CREATE MATERIALIZED VIEW top PARTITIONED BY (kilograms) AS SELECT * FROM by_weight ORDER BY n DESC LIMIT 3;
