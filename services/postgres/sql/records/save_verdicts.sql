-- Writes the verdicts that are not `applied`. Relies on verdicts_pkey.
INSERT INTO tidelog.verdicts (workspace, position, verdict, conflicts)
SELECT $1, v.position, v.verdict, v.conflicts::jsonb
FROM unnest($2::bigint[], $3::text[], $4::text[]) AS v (position, verdict, conflicts)
