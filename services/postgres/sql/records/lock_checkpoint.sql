-- Takes a workspace's checkpoint for folding on, unless another projector has it. Relies on checkpoints_pkey.
SELECT position, catalog_position, generation FROM tidelog.checkpoints WHERE workspace = $1 FOR UPDATE SKIP LOCKED
