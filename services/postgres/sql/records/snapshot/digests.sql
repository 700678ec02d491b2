-- The digests of a workspace in a set, of each scope and of all together. Relies on digests_pkey.
SELECT table_name, scope, records, high, low FROM tidelog.digests
WHERE workspace = $1 AND table_set = $2
ORDER BY table_name, scope
