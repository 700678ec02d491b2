-- Reads who made the events at these positions, and when. Relies on (workspace, position).
SELECT e.position, e.device, e.role, e.actor, e.at_ms
FROM unnest($2::bigint[]) AS p (position)
CROSS JOIN LATERAL (
    SELECT position, device, role, actor, at_ms FROM tidelog.log
    WHERE workspace = $1 AND position BETWEEN p.position AND p.position
    ORDER BY position
    LIMIT 1
) e
