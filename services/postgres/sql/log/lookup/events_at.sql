-- Reads the events at the given positions, in the order of the parameter. Relies on (workspace, position).
SELECT e.*
FROM unnest($2::bigint[]) AS p (position)
CROSS JOIN LATERAL (
    SELECT position, position - batch_offset AS batch, device, seq, base, at_ms, received_at_ms, digest, kind,
        table_name, record, scope, role, actor, conflict, rejected, fields
    FROM tidelog.log
    WHERE workspace = $1 AND position BETWEEN p.position AND p.position
    ORDER BY position
    LIMIT 1
) e
