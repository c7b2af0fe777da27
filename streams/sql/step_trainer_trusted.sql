-- step_trainer_trusted: the trainer readings of curated customers. Reads step_trainer_landing, customer_curated.
-- A reading comes out once, however many customers claim its serial number.
CREATE TABLE step_trainer_trusted AS
SELECT *
  FROM step_trainer_landing
 WHERE serialNumber IN (SELECT serialNumber FROM customer_curated);
