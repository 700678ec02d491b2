-- Applies the changes of the records' hashes to the digests of their tables and scopes. Removing a hash is the same
-- exclusive or as adding it. Relies on digests_pkey.
INSERT INTO tidelog.digests AS d (workspace, table_set, table_name, scope, records, high, low)
SELECT $1, $2, n.table_name, n.scope, n.records, n.high, n.low
FROM unnest($3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[])
    AS n (table_name, scope, records, high, low)
ON CONFLICT (workspace, table_set, table_name, scope) DO UPDATE
SET records = d.records + excluded.records, high = d.high # excluded.high, low = d.low # excluded.low
