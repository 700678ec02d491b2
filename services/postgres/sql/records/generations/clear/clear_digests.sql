-- Deletes at most $3 digests of a workspace in a table set. Relies on digests_pkey.
DELETE FROM tidelog.digests g USING (
    SELECT table_name, scope FROM tidelog.digests WHERE workspace = $1 AND table_set = $2
    ORDER BY table_name, scope LIMIT $3
) AS d
WHERE g.workspace = $1 AND g.table_set = $2 AND g.table_name = d.table_name AND g.scope = d.scope
