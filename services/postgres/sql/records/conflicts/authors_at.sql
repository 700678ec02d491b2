-- Reads who made the events at these positions, and when. With an event of the system device comes the _devices event
-- right before it, if that is one: it says which device made the op first, if the server readmitted it. Relies on
-- (workspace, position).
SELECT e.position, e.device, e.seq, e.role, e.actor, e.at_ms, before.record AS changed_device, before.fields AS change
FROM unnest($2::bigint[]) AS p (position)
CROSS JOIN LATERAL (
    SELECT position, device, seq, role, actor, at_ms FROM tidelog.log
    WHERE workspace = $1 AND position BETWEEN p.position AND p.position
    ORDER BY position
    LIMIT 1
) e
LEFT JOIN LATERAL (
    SELECT l.record, l.fields FROM (
        SELECT position, table_name, record, fields FROM tidelog.log
        WHERE workspace = $1 AND position BETWEEN p.position - 1 AND p.position - 1
        ORDER BY position
        LIMIT 1
    ) l
    WHERE e.device = '00000000-0000-0000-0000-000000000000' AND l.table_name = '_devices'
) before ON true
