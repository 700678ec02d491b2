-- Reads the next records of a workspace in a table set after an address, in the order of the key. Relies on
-- records_pkey.
SELECT table_name, scope, record, version, touched, updated_at_ms, deleted, open_conflicts, fields, state
FROM tidelog.records
WHERE workspace = $1 AND table_set = $2 AND (table_name, scope, record) > ($3, $4, $5)
ORDER BY table_name, scope, record
LIMIT $6
