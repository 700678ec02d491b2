-- Takes a workspace's checkpoint for folding on, unless another projector has it, with the check of the event up to which
-- it is to move: the log that was folded is the log that is here. Relies on checkpoints_pkey and (workspace, position).
SELECT c.position, c.catalog_position, c.generation,
    (SELECT l.digest # l.received_at_ms FROM tidelog.log l WHERE l.workspace = $1 AND l.position BETWEEN $2 AND $2
        ORDER BY l.position LIMIT 1)
FROM tidelog.checkpoints c
WHERE c.workspace = $1
FOR UPDATE SKIP LOCKED
