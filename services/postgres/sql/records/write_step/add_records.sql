-- Writes folded records that are not stored yet, each key once; to look for those that are would cost half as much again.
-- The arrays are side by side in the list, since those of a FROM are put together on the side first. Relies on
-- records_pkey, which refuses what is stored.
INSERT INTO tidelog.records (workspace, table_set, table_name, scope, record, version, touched, updated_at_ms, deleted,
    open_conflicts, fields, state)
SELECT $1, $2, unnest($3::text[]), unnest($4::text[]), unnest($5::text[]), unnest($6::bigint[]), unnest($7::bigint[]),
    unnest($8::bigint[]), unnest($9::boolean[]), unnest($10::integer[]), unnest($11::bytea[]), unnest($12::bytea[])
