-- Reads every generation of one workspace ($1) or of all (null), with the head of its log. Relies on checkpoints_pkey
-- and (workspace, position).
SELECT c.position, c.catalog_position, c.generation, c.table_set, c.refold_position, c.live, c.state_form,
    c.workspace, c.verified_at_ms,
    coalesce((
        SELECT l.position FROM tidelog.log l WHERE l.workspace = c.workspace ORDER BY l.position DESC LIMIT 1
    ), 0) AS head
FROM tidelog.checkpoints c
WHERE $1::uuid IS NULL OR c.workspace = $1
ORDER BY c.workspace, c.table_set
