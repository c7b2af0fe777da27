-- customer_trusted: the customers who share their data with research. Reads customer_landing.
--
-- A customer is a person with a trainer: (email, serialNumber). The record with the newest lastUpdateDate says what the
-- customer wants now. On equal dates a record without consent wins, then the one with the later consent: the winner
-- must not depend on which came first, and doubt is settled in favour of the person. Whose last
-- word is not consent is out.
CREATE TABLE customer_trusted AS
WITH ranked AS (
    SELECT *,
           row_number() OVER (
               PARTITION BY email, serialNumber
               ORDER BY lastUpdateDate DESC,
                        coalesce(shareWithResearchAsOfDate, 0) > 0, -- 0, without consent, comes first
                        shareWithResearchAsOfDate DESC
           ) AS place
      FROM customer_landing
)
SELECT customerName, email, phone, birthDay, serialNumber, registrationDate, lastUpdateDate,
       shareWithResearchAsOfDate, shareWithPublicAsOfDate, shareWithFriendsAsOfDate
  FROM ranked
 WHERE place = 1
   AND shareWithResearchAsOfDate > 0;

CREATE INDEX customer_trusted_email ON customer_trusted (email);
