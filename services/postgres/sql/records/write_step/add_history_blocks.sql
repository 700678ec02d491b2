-- Inserts blocks of the histories of records; the positions of each come as an array literal. Relies on
-- record_events_pkey.
INSERT INTO tidelog.record_events (workspace, table_set, table_name, scope, record, block, positions)
SELECT $1, $2, b.table_name, b.scope, b.record, b.block, b.positions::bigint[]
FROM unnest($3::text[], $4::text[], $5::text[], $6::integer[], $7::text[])
    AS b (table_name, scope, record, block, positions)
