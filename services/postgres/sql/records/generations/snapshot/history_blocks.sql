-- Reads the next blocks of the histories of a workspace's records in a table set after one of them, in the order of the
-- key. Relies on record_events_pkey.
SELECT table_name, scope, record, block, positions
FROM tidelog.record_events
WHERE workspace = $1 AND table_set = $2 AND (table_name, scope, record, block) > ($3, $4, $5, $6)
ORDER BY table_name, scope, record, block
LIMIT $7
