-- Reads the visible events in a range of positions, in order: not rejected, of these tables and scopes (null: all).
-- _catalog and _devices events are visible to everyone, and the first position of the range is returned whatever it has.
-- Relies on (workspace, position).
SELECT position, batch_offset, device, seq, base, at_ms, received_at_ms, digest, kind, table_name, record, scope,
    role, actor, conflict, rejected, fields
FROM tidelog.log
WHERE workspace = $1 AND position >= $2 AND position <= $3
    AND (position = $2
        OR (rejected = '' AND (table_name IN ('_catalog', '_devices')
            OR (($5::text[] IS NULL OR table_name = ANY ($5)) AND ($6::text[] IS NULL OR scope = ANY ($6))))))
ORDER BY position
LIMIT $4
