-- accelerometer_trusted: the phone readings of trusted customers. Reads accelerometer_landing, customer_trusted.
--
-- consent = 'any': all of a trusted customer's readings. consent = 'as_of': those taken since the customer's consent; a
-- person with two trainers has consented twice, and the earlier consent lets a reading through. A reading comes out
-- once, however many rows let it through, and with its own fields only.
CREATE TABLE accelerometer_trusted AS
WITH consent AS MATERIALIZED (
    SELECT iif(email_case = 'fold', lower(email), email) AS person, min(shareWithResearchAsOfDate) AS since
      FROM customer_trusted, parameters
     GROUP BY person
)
SELECT reading.*
  FROM parameters
 CROSS JOIN accelerometer_landing AS reading
 CROSS JOIN consent
 WHERE consent.person = iif(parameters.email_case = 'fold', lower(reading.user), reading.user)
   AND (parameters.consent = 'any' OR reading.timestamp >= consent.since);

CREATE INDEX accelerometer_trusted_user ON accelerometer_trusted (user);
CREATE INDEX accelerometer_trusted_timestamp ON accelerometer_trusted (timestamp);
