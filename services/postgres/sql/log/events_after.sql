-- The visible events of a stretch of a log in order: not rejected, of these tables and scopes (null: all). Everyone
-- sees the catalog. Relies on (workspace, position).
SELECT position, position - batch_offset AS batch, device, seq, base, at_ms, received_at_ms, digest, kind, table_name, record, scope, role, actor,
    conflict, rejected, fields
FROM tidelog.log
WHERE workspace = $1 AND position > $2 AND position <= $3 AND rejected = ''
    AND (table_name = '_catalog'
        OR (($4::text[] IS NULL OR table_name = ANY ($4)) AND ($5::text[] IS NULL OR scope = ANY ($5))))
ORDER BY position
LIMIT $6
