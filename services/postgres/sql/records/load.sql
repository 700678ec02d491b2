-- The stored records with these keys. Relies on records_pkey.
SELECT r.table_name, r.scope, r.record, r.version, r.touched, r.updated_at_ms, r.deleted, r.fields, r.state
FROM unnest($2::text[], $3::text[], $4::text[]) AS k (table_name, scope, record)
JOIN tidelog.records r
    ON r.workspace = $1 AND r.table_name = k.table_name AND r.scope = k.scope AND r.record = k.record
