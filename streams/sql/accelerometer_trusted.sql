-- accelerometer_trusted: the phone readings of trusted customers. Reads accelerometer_landing, customer_trusted.
--
-- consent = 'any': all of a trusted customer's readings. consent = 'as_of': those taken since the customer's consent; a
-- person with two trainers has consented twice, and the earlier consent lets a reading through. A reading comes out
-- once, however many rows let it through, and with its own fields only.
CREATE TABLE accelerometer_trusted AS
SELECT reading.*
  FROM accelerometer_landing AS reading, parameters
 WHERE EXISTS (
           SELECT 1
             FROM customer_trusted AS customer
            WHERE customer.email = reading.user
              AND (parameters.consent = 'any' OR reading.timestamp >= customer.shareWithResearchAsOfDate)
       );

CREATE INDEX accelerometer_trusted_user ON accelerometer_trusted (user);
CREATE INDEX accelerometer_trusted_timestamp ON accelerometer_trusted (timestamp);
