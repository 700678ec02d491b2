-- Closes conflicts, each once. Relies on conflicts_pkey.
UPDATE tidelog.conflicts c SET status = n.status, closed_position = n.closed_position
FROM unnest($3::bigint[], $4::text[], $5::text[], $6::bigint[]) AS n (position, field, status, closed_position)
WHERE c.workspace = $1 AND c.table_set = $2 AND c.position = n.position AND c.field = n.field
