-- Deletes at most $3 records of a workspace in a table set. Relies on records_pkey.
DELETE FROM tidelog.records r USING (
    SELECT table_name, scope, record FROM tidelog.records WHERE workspace = $1 AND table_set = $2
    ORDER BY table_name, scope, record LIMIT $3
) AS d
WHERE r.workspace = $1 AND r.table_set = $2 AND r.table_name = d.table_name AND r.scope = d.scope
    AND r.record = d.record
