-- machine_learning_curated: what the trainer and the phone measured at the same time. Reads step_trainer_trusted,
-- accelerometer_trusted, customer_curated.
--
-- Every pair of readings whose times differ by at most window_ms. match = 'time': of anybody, as the batch job had it.
-- match = 'customer': of the same customer, which the curated table says: it has a row with the one's serial number and
-- the other's e-mail address.
--
-- The address stands here as it is (`subject = email`). With the default, `subject = pseudonym`, the process puts a
-- keyed hash in its place, which SQL can't compute.
--
-- CROSS JOIN: the trainer's readings lead, the phone's are looked up by time.
CREATE TABLE machine_learning_curated AS
SELECT step.sensorReadingTime, step.serialNumber, step.distanceFromObject,
       phone.user, phone.timestamp, phone.x, phone.y, phone.z
  FROM parameters
 CROSS JOIN step_trainer_trusted AS step
 CROSS JOIN accelerometer_trusted AS phone
 WHERE phone.timestamp BETWEEN step.sensorReadingTime - parameters.window_ms
                           AND step.sensorReadingTime + parameters.window_ms
   AND (parameters.match = 'time'
        OR EXISTS (
               SELECT 1
                 FROM customer_curated AS customer
                WHERE customer.serialNumber = step.serialNumber
                  AND iif(parameters.email_case = 'fold', lower(customer.email) = lower(phone.user),
                          customer.email = phone.user)
           ));
