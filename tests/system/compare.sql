-- compare: one line a set, "SET|RECORDS IN THE LAKE|RECORDS BY THE BATCH SQL|yes or NO". Equal means equal as
-- multisets: as many records, and each record of the one as often in the other. Reads the tables of lake.sql and of
-- streams/sql.
SELECT 'trusted/customer', lake, batch,
       iif(lake = batch AND NOT EXISTS (
               SELECT *, count(*) FROM customer_trusted GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
               EXCEPT
               SELECT *, count(*) FROM lake_customer_trusted GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10), 'yes', 'NO')
  FROM (SELECT (SELECT count(*) FROM lake_customer_trusted) AS lake,
               (SELECT count(*) FROM customer_trusted) AS batch)
UNION ALL
SELECT 'trusted/accelerometer', lake, batch,
       iif(lake = batch AND NOT EXISTS (
               SELECT *, count(*) FROM accelerometer_trusted GROUP BY 1, 2, 3, 4, 5
               EXCEPT
               SELECT *, count(*) FROM lake_accelerometer_trusted GROUP BY 1, 2, 3, 4, 5), 'yes', 'NO')
  FROM (SELECT (SELECT count(*) FROM lake_accelerometer_trusted) AS lake,
               (SELECT count(*) FROM accelerometer_trusted) AS batch)
UNION ALL
SELECT 'curated/customer', lake, batch,
       iif(lake = batch AND NOT EXISTS (
               SELECT *, count(*) FROM customer_curated GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
               EXCEPT
               SELECT *, count(*) FROM lake_customer_curated GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10), 'yes', 'NO')
  FROM (SELECT (SELECT count(*) FROM lake_customer_curated) AS lake,
               (SELECT count(*) FROM customer_curated) AS batch)
UNION ALL
SELECT 'trusted/step_trainer', lake, batch,
       iif(lake = batch AND NOT EXISTS (
               SELECT *, count(*) FROM step_trainer_trusted GROUP BY 1, 2, 3
               EXCEPT
               SELECT *, count(*) FROM lake_step_trainer_trusted GROUP BY 1, 2, 3), 'yes', 'NO')
  FROM (SELECT (SELECT count(*) FROM lake_step_trainer_trusted) AS lake,
               (SELECT count(*) FROM step_trainer_trusted) AS batch)
UNION ALL
SELECT 'curated/machine_learning', lake, batch,
       iif(lake = batch AND NOT EXISTS (
               SELECT *, count(*) FROM machine_learning_curated GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
               EXCEPT
               SELECT *, count(*) FROM lake_machine_learning_curated GROUP BY 1, 2, 3, 4, 5, 6, 7, 8), 'yes', 'NO')
  FROM (SELECT (SELECT count(*) FROM lake_machine_learning_curated) AS lake,
               (SELECT count(*) FROM machine_learning_curated) AS batch);
