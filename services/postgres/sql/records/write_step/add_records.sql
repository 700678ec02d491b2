-- Inserts records that have no row yet, each key once: an upsert, which looks for a row first, would cost half as much
-- again. The unnests are in the select list, since a FROM would materialize them first. Relies on records_pkey, which
-- refuses a second row.
INSERT INTO tidelog.records (workspace, table_set, table_name, scope, record, version, touched, updated_at_ms, deleted,
    open_conflicts, fields, state)
SELECT $1, $2, unnest($3::text[]), unnest($4::text[]), unnest($5::text[]), unnest($6::bigint[]), unnest($7::bigint[]),
    unnest($8::bigint[]), unnest($9::boolean[]), unnest($10::integer[]), unnest($11::bytea[]), unnest($12::bytea[])
