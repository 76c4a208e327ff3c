-- R50 in SQL, for DuckDB: fold one delivery into `picture` and `incomplete`. `records` is a view of the delivery's part files, such as
--   CREATE OR REPLACE VIEW records AS SELECT * FROM read_avro('OUTBOX/PARTNER/00000001/part-*.avro');   (DuckDB's extension `avro`)
-- Run it once for each delivery, in order of sequence. What `lefi receive` does is the same, with all checks.

CREATE TABLE IF NOT EXISTS picture AS SELECT * FROM records LIMIT 0;
CREATE TABLE IF NOT EXISTS incomplete (personnummer VARCHAR, benefit VARCHAR, code VARCHAR);

BEGIN;

-- Where a group is emptied: at its first SNAPSHOT, and at each EMPTY; under the former number too.
CREATE OR REPLACE TEMP TABLE emptied AS
WITH emptying AS (
    SELECT personnummer, former_personnummer, benefit, record_no FROM records
    WHERE action = 'EMPTY'
        OR record_no IN (SELECT min(record_no) FROM records WHERE action = 'SNAPSHOT' GROUP BY personnummer, benefit)
)
SELECT personnummer, benefit, record_no FROM emptying
UNION ALL
SELECT former_personnummer, benefit, record_no FROM emptying WHERE former_personnummer IS NOT NULL;

-- The last word on each fact of the delivery.
CREATE OR REPLACE TEMP TABLE last_words AS
SELECT * FROM records
WHERE fact_id IS NOT NULL
QUALIFY record_no = max(record_no) OVER (PARTITION BY personnummer, benefit, fact_id);

DELETE FROM picture USING emptied
WHERE picture.personnummer = emptied.personnummer AND picture.benefit = emptied.benefit;

DELETE FROM picture USING last_words AS said
WHERE picture.personnummer = said.personnummer AND picture.benefit = said.benefit AND picture.fact_id = said.fact_id;

INSERT INTO picture
SELECT said.* FROM last_words AS said
WHERE said.action <> 'ANNULLED'
    AND NOT EXISTS (
        FROM emptied
        WHERE emptied.personnummer = said.personnummer AND emptied.benefit = said.benefit AND emptied.record_no > said.record_no
    );

-- A DEVIATION makes a group incomplete, until it is emptied.
DELETE FROM incomplete USING emptied
WHERE incomplete.personnummer = emptied.personnummer AND incomplete.benefit = emptied.benefit;

INSERT INTO incomplete
SELECT personnummer, benefit, deviation.code FROM records AS said
WHERE action = 'DEVIATION'
    AND NOT EXISTS (
        FROM emptied
        WHERE emptied.personnummer = said.personnummer AND emptied.benefit = said.benefit AND emptied.record_no > said.record_no
    );

COMMIT;
