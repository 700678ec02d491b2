-- What the stored records with these keys weigh, without reading them. Relies on records_pkey.
SELECT coalesce(sum(octet_length(r.fields) + octet_length(r.state)), 0)::bigint
FROM unnest($2::text[], $3::text[], $4::text[]) AS k (table_name, scope, record)
JOIN tidelog.records r
    ON r.workspace = $1 AND r.table_name = k.table_name AND r.scope = k.scope AND r.record = k.record
