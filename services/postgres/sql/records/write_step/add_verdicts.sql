-- Inserts the verdicts of the events that did not simply apply. Relies on verdicts_pkey.
INSERT INTO tidelog.verdicts (workspace, table_set, position, verdict)
SELECT $1, $2, v.position, v.verdict FROM unnest($3::bigint[], $4::text[]) AS v (position, verdict)
