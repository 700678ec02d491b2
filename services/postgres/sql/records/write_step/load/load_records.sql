-- Reads the stored records with these keys, in a table set ($6) or the live one (null), by the number of the key: one
-- lookup in the index for each, whatever the statistics say. A record of more than $5 bytes comes as its size alone.
-- The columns are read by their order. Relies on records_pkey.
SELECT k.n, r.bytes, r.version, r.touched, r.updated_at_ms, r.deleted,
    CASE WHEN r.bytes <= $5 THEN r.fields END, CASE WHEN r.bytes <= $5 THEN r.state END
FROM unnest($2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS k (table_name, scope, record, n)
CROSS JOIN LATERAL (
    SELECT version, touched, updated_at_ms, deleted, fields, state,
        octet_length(fields)::bigint + octet_length(state) AS bytes
    FROM tidelog.records
    WHERE workspace = $1
        AND table_set = coalesce($6::smallint, (SELECT c.table_set FROM tidelog.checkpoints c
            WHERE c.workspace = $1 AND c.live ORDER BY c.table_set LIMIT 1))
        AND table_name = k.table_name AND scope = k.scope AND record BETWEEN k.record AND k.record
    ORDER BY record
    LIMIT 1
) r
