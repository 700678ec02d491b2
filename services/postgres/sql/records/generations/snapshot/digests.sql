-- Reads the digests of a workspace in a table set, of each scope and of each whole table. Relies on digests_pkey.
SELECT table_name, scope, records, high, low FROM tidelog.digests
WHERE workspace = $1 AND table_set = $2
ORDER BY table_name, scope
