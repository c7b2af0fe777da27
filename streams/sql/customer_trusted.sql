-- customer_trusted: the customers who share their data with research. Reads customer_landing.
--
-- A customer is a person with a trainer: (email, serialNumber). The record with the newest lastUpdateDate says what the
-- customer wants now. On equal dates a record without consent wins, then the one with the later consent: the winner
-- must not depend on which came first, and doubt is settled in favour of the person. Whose last
-- word is not consent is out. A record with withdrawAll is that word for all rows of its person, up to its date.
--
-- Two things that the process does are not here, since what they go by is when a record came, which no file says: a
-- withdrawal that comes while a consent is dated ahead is newer than that, and a consent whose own date lies ahead
-- waits for it. In the end all dates have come.
CREATE TABLE customer_trusted AS
WITH customer AS (
    SELECT iif(email_case = 'fold', lower(email), email) AS person, customer_landing.*
      FROM customer_landing, parameters
),
ranked AS (
    SELECT *,
           row_number() OVER (
               PARTITION BY person, serialNumber
               ORDER BY lastUpdateDate DESC,
                        coalesce(shareWithResearchAsOfDate, 0) > 0, -- 0, without consent, comes first
                        shareWithResearchAsOfDate DESC
           ) AS place
      FROM customer
),
gone AS (
    SELECT person, max(lastUpdateDate) AS date FROM customer WHERE withdrawAll GROUP BY person
)
SELECT customerName, email, phone, birthDay, serialNumber, registrationDate, lastUpdateDate,
       shareWithResearchAsOfDate, shareWithPublicAsOfDate, shareWithFriendsAsOfDate
  FROM ranked LEFT JOIN gone USING (person)
 WHERE place = 1
   AND shareWithResearchAsOfDate > 0
   AND lastUpdateDate > coalesce(gone.date, -1);

CREATE INDEX customer_trusted_email ON customer_trusted (email);
