-- Reads every event in a range of positions, both ends included, in order. Relies on (workspace, position).
SELECT position, batch_offset, device, seq, base, at_ms, received_at_ms, digest, kind, table_name, record, scope,
    role, actor, conflict, rejected, fields
FROM tidelog.log
WHERE workspace = $1 AND position >= $2 AND position <= $3
ORDER BY position
LIMIT $4
