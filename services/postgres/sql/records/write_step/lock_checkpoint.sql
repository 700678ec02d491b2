-- Locks a checkpoint of a workspace for a step, unless another projector has it, and reads the check of the event up to
-- which the step moves it: that proves that the log folded is the log stored here. Relies on checkpoints_pkey and
-- (workspace, position).
SELECT c.position, c.catalog_position, c.generation, c.table_set, c.refold_position, c.live, c.state_form,
    (SELECT l.digest # l.received_at_ms FROM tidelog.log l WHERE l.workspace = $1 AND l.position BETWEEN $3 AND $3
        ORDER BY l.position LIMIT 1)
FROM tidelog.checkpoints c
WHERE c.workspace = $1 AND c.table_set = $2
FOR UPDATE SKIP LOCKED
