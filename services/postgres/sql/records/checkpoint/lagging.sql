-- Reads the workspaces whose log has events after the live checkpoint, with head, checkpoint and when the first such
-- event was stored. Reads the end of every log, so it is for the slow poll and the gauges alone. Relies on (workspace,
-- position).
SELECT c.workspace, edge.position AS head, c.position,
    (SELECT l.received_at_ms FROM tidelog.log l
        WHERE l.workspace = c.workspace AND l.position BETWEEN c.position + 1 AND c.position + 1
        ORDER BY l.position LIMIT 1) AS waiting_since_ms
FROM tidelog.checkpoints c
CROSS JOIN LATERAL (
    SELECT l.position FROM tidelog.log l WHERE l.workspace = c.workspace ORDER BY l.position DESC LIMIT 1
) AS edge
WHERE c.live AND c.position < edge.position
