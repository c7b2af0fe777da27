-- landing: the three landing tables and the parameters of the jobs, for the sqlite3 command line.
--
-- The files beside this one say in SQL what the processes do record by record: each creates the set that its process
-- (same name, with dashes) has published once all input is worked. They are the documentation of the jobs and what the
-- tests compare with. They answer for a finished landing zone: waiting, retention and changes of mind are not in them.
--
--     cd FOLDER_WITH_LANDING_FILES
--     sqlite3 sets.db
--     sqlite> .read landing.sql
--     sqlite> UPDATE parameters SET consent = 'as_of', match = 'customer', window_ms = 4000, email_case = 'keep';
--     sqlite> .read customer_trusted.sql
--     sqlite> .read accelerometer_trusted.sql
--     sqlite> .read customer_curated.sql
--     sqlite> .read step_trainer_trusted.sql
--     sqlite> .read machine_learning_curated.sql
--
-- The order matters: each reads what those before it made. (.read wants these files' paths.)

-- One record a line, whatever is in it: no byte of JSON text is the unit separator, so a line is one column.
.mode ascii
.separator "\037" "\n"
CREATE TABLE customer_line (json TEXT);
CREATE TABLE accelerometer_line (json TEXT);
CREATE TABLE step_trainer_line (json TEXT);
.import customer.ndjson customer_line
.import accelerometer.ndjson accelerometer_line
.import step_trainer.ndjson step_trainer_line
.mode list
.separator "|" "\n"

-- DISTINCT: a record whose fields all equal another's is the same record, sent twice. The columns have no type, so that
-- numbers keep theirs and 1 and 1.0 are equal. Times are whole milliseconds, whatever made them (1655564376361.0): a
-- fraction is cut off. Records that gait refuses (README, `gait/rejected`) are not to be in the files.
CREATE TABLE customer_landing AS
SELECT DISTINCT json ->> 'customerName' AS customerName,
                json ->> 'email' AS email,
                json ->> 'phone' AS phone,
                json ->> 'birthDay' AS birthDay,
                json ->> 'serialNumber' AS serialNumber,
                CAST(json ->> 'registrationDate' AS INTEGER) AS registrationDate,
                CAST(json ->> 'lastUpdateDate' AS INTEGER) AS lastUpdateDate,
                CAST(json ->> 'shareWithResearchAsOfDate' AS INTEGER) AS shareWithResearchAsOfDate,
                CAST(json ->> 'shareWithPublicAsOfDate' AS INTEGER) AS shareWithPublicAsOfDate,
                CAST(json ->> 'shareWithFriendsAsOfDate' AS INTEGER) AS shareWithFriendsAsOfDate,
                coalesce(json ->> 'withdrawAll', 0) AS withdrawAll -- false is like absent
  FROM customer_line;

-- Some phones say timeStamp.
CREATE TABLE accelerometer_landing AS
SELECT DISTINCT json ->> 'user' AS user,
                CAST(coalesce(json ->> 'timestamp', json ->> 'timeStamp') AS INTEGER) AS timestamp,
                json ->> 'x' AS x,
                json ->> 'y' AS y,
                json ->> 'z' AS z
  FROM accelerometer_line;

CREATE TABLE step_trainer_landing AS
SELECT DISTINCT CAST(json ->> 'sensorReadingTime' AS INTEGER) AS sensorReadingTime,
                json ->> 'serialNumber' AS serialNumber,
                json ->> 'distanceFromObject' AS distanceFromObject
  FROM step_trainer_line;

DROP TABLE customer_line;
DROP TABLE accelerometer_line;
DROP TABLE step_trainer_line;

-- The parameters as in the configuration file, at their defaults; always one row.
CREATE TABLE parameters (
    consent TEXT NOT NULL CHECK (consent IN ('any', 'as_of')),     -- [accelerometer-trusted] consent
    match TEXT NOT NULL CHECK (match IN ('time', 'customer')),     -- [machine-learning-curated] match
    window_ms INTEGER NOT NULL CHECK (window_ms >= 0),             -- [machine-learning-curated] window
    email_case TEXT NOT NULL CHECK (email_case IN ('keep', 'fold')) -- [limits] email_case
);
INSERT INTO parameters VALUES ('any', 'time', 0, 'keep');
