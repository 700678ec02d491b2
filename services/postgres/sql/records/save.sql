-- Writes folded records, each key once. Relies on records_pkey.
INSERT INTO tidelog.records (workspace, table_name, scope, record, version, touched, updated_at_ms, deleted,
    open_conflicts, fields, state)
SELECT $1, k.table_name, k.scope, k.record, k.version, k.touched, k.updated_at_ms, k.deleted, k.open_conflicts, k.fields, k.state
FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::boolean[],
    $9::integer[], $10::bytea[], $11::bytea[])
    AS k (table_name, scope, record, version, touched, updated_at_ms, deleted, open_conflicts, fields, state)
ON CONFLICT (workspace, table_name, scope, record) DO UPDATE
SET version = excluded.version, touched = excluded.touched, updated_at_ms = excluded.updated_at_ms,
    deleted = excluded.deleted, open_conflicts = excluded.open_conflicts, fields = excluded.fields, state = excluded.state
