-- Reads one event by its position. Relies on (workspace, position).
SELECT position, position - batch_offset AS batch, device, seq, base, at_ms, received_at_ms, digest, kind, table_name,
    record, scope, role, actor, conflict, rejected, fields
FROM tidelog.log
WHERE workspace = $1 AND position BETWEEN $2 AND $2
ORDER BY position
LIMIT 1
