-- Writes folded records, each key once. Relies on records_pkey.
INSERT INTO tidelog.records (workspace, table_set, table_name, scope, record, version, touched, updated_at_ms, deleted,
    open_conflicts, fields, state)
SELECT $1, $2, k.table_name, k.scope, k.record, k.version, k.touched, k.updated_at_ms, k.deleted, k.open_conflicts, k.fields, k.state
FROM unnest($3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[], $9::boolean[],
    $10::integer[], $11::bytea[], $12::bytea[])
    AS k (table_name, scope, record, version, touched, updated_at_ms, deleted, open_conflicts, fields, state)
ON CONFLICT (workspace, table_set, table_name, scope, record) DO UPDATE
SET version = excluded.version, touched = excluded.touched, updated_at_ms = excluded.updated_at_ms,
    deleted = excluded.deleted, open_conflicts = excluded.open_conflicts, fields = excluded.fields, state = excluded.state
