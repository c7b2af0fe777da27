-- customer_curated: the trusted customers of whom there is at least one trusted phone reading. Reads customer_trusted,
-- accelerometer_trusted. One reading curates both rows of a person with two trainers: a reading names the person.
CREATE TABLE customer_curated AS
SELECT *
  FROM customer_trusted
 WHERE email IN (SELECT user FROM accelerometer_trusted);

CREATE INDEX customer_curated_serial_number ON customer_curated (serialNumber, email);
