-- customer_curated: the trusted customers of whom there is at least one trusted phone reading. Reads customer_trusted,
-- accelerometer_trusted. One reading curates both rows of a person with two trainers: a reading names the person.
CREATE TABLE customer_curated AS
SELECT customer_trusted.*
  FROM customer_trusted, parameters
 WHERE iif(email_case = 'fold', lower(email), email) IN
           (SELECT iif(email_case = 'fold', lower(user), user) FROM accelerometer_trusted, parameters);

CREATE INDEX customer_curated_serial_number ON customer_curated (serialNumber, email);
