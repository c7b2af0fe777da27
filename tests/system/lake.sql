-- lake: what the lake's files hold, as tables beside those of streams/sql, for the sqlite3 command line. Reads
-- trusted_customer.ndjson and so on, each all part files of one set in order, from the current folder.
.mode ascii
.separator "\037" "\n"
CREATE TABLE customer_trusted_line (json TEXT);
CREATE TABLE accelerometer_trusted_line (json TEXT);
CREATE TABLE customer_curated_line (json TEXT);
CREATE TABLE step_trainer_trusted_line (json TEXT);
CREATE TABLE machine_learning_curated_line (json TEXT);
.import trusted_customer.ndjson customer_trusted_line
.import trusted_accelerometer.ndjson accelerometer_trusted_line
.import curated_customer.ndjson customer_curated_line
.import trusted_step_trainer.ndjson step_trainer_trusted_line
.import curated_machine_learning.ndjson machine_learning_curated_line
.mode list
.separator "|" "\n"

-- Of a table, every change of a row is a line: the last one counts, unless it is a withdrawal.
CREATE TABLE lake_customer_trusted AS
SELECT json ->> 'customerName' AS customerName, json ->> 'email' AS email, json ->> 'phone' AS phone,
       json ->> 'birthDay' AS birthDay, json ->> 'serialNumber' AS serialNumber,
       json ->> 'registrationDate' AS registrationDate, json ->> 'lastUpdateDate' AS lastUpdateDate,
       json ->> 'shareWithResearchAsOfDate' AS shareWithResearchAsOfDate,
       json ->> 'shareWithPublicAsOfDate' AS shareWithPublicAsOfDate,
       json ->> 'shareWithFriendsAsOfDate' AS shareWithFriendsAsOfDate
  FROM customer_trusted_line
 WHERE rowid IN (SELECT max(rowid) FROM customer_trusted_line GROUP BY json ->> 'row')
   AND json ->> 'withdrawn' IS NULL;

CREATE TABLE lake_customer_curated AS
SELECT json ->> 'customerName' AS customerName, json ->> 'email' AS email, json ->> 'phone' AS phone,
       json ->> 'birthDay' AS birthDay, json ->> 'serialNumber' AS serialNumber,
       json ->> 'registrationDate' AS registrationDate, json ->> 'lastUpdateDate' AS lastUpdateDate,
       json ->> 'shareWithResearchAsOfDate' AS shareWithResearchAsOfDate,
       json ->> 'shareWithPublicAsOfDate' AS shareWithPublicAsOfDate,
       json ->> 'shareWithFriendsAsOfDate' AS shareWithFriendsAsOfDate
  FROM customer_curated_line
 WHERE rowid IN (SELECT max(rowid) FROM customer_curated_line GROUP BY json ->> 'row')
   AND json ->> 'withdrawn' IS NULL;

CREATE TABLE lake_accelerometer_trusted AS
SELECT json ->> 'user' AS user, json ->> 'timestamp' AS timestamp, json ->> 'x' AS x, json ->> 'y' AS y,
       json ->> 'z' AS z
  FROM accelerometer_trusted_line;

CREATE TABLE lake_step_trainer_trusted AS
SELECT json ->> 'sensorReadingTime' AS sensorReadingTime, json ->> 'serialNumber' AS serialNumber,
       json ->> 'distanceFromObject' AS distanceFromObject
  FROM step_trainer_trusted_line;

CREATE TABLE lake_machine_learning_curated AS
SELECT json ->> 'sensorReadingTime' AS sensorReadingTime, json ->> 'serialNumber' AS serialNumber,
       json ->> 'distanceFromObject' AS distanceFromObject, json ->> 'user' AS user, json ->> 'timestamp' AS timestamp,
       json ->> 'x' AS x, json ->> 'y' AS y, json ->> 'z' AS z
  FROM machine_learning_curated_line;
