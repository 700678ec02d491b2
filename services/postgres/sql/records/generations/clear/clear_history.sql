-- Deletes at most $3 blocks of the histories of a workspace's records in a table set. Relies on record_events_pkey.
DELETE FROM tidelog.record_events r USING (
    SELECT table_name, scope, record, block FROM tidelog.record_events WHERE workspace = $1 AND table_set = $2
    ORDER BY table_name, scope, record, block LIMIT $3
) AS d
WHERE r.workspace = $1 AND r.table_set = $2 AND r.table_name = d.table_name AND r.scope = d.scope
    AND r.record = d.record AND r.block = d.block
