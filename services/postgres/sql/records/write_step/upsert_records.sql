-- Writes records over their rows, each key once. Relies on records_pkey.
INSERT INTO tidelog.records (workspace, table_set, table_name, scope, record, version, touched, updated_at_ms, deleted,
    open_conflicts, fields, state)
SELECT $1, $2, unnest($3::text[]), unnest($4::text[]), unnest($5::text[]), unnest($6::bigint[]), unnest($7::bigint[]),
    unnest($8::bigint[]), unnest($9::boolean[]), unnest($10::integer[]), unnest($11::bytea[]), unnest($12::bytea[])
ON CONFLICT (workspace, table_set, table_name, scope, record) DO UPDATE
SET version = excluded.version, touched = excluded.touched, updated_at_ms = excluded.updated_at_ms,
    deleted = excluded.deleted, open_conflicts = excluded.open_conflicts,
    fields = excluded.fields, state = excluded.state
