-- The workspaces whose log goes on after their checkpoint, with how far and since when. Reads every head: for the slow
-- poll and the gauges only.
SELECT h.workspace, h.head, c.position,
    (SELECT l.received_at_ms FROM tidelog.log l WHERE l.workspace = h.workspace AND l.position = c.position + 1) AS waiting_since_ms
FROM tidelog.heads h JOIN tidelog.checkpoints c ON c.workspace = h.workspace
WHERE c.position < h.head
