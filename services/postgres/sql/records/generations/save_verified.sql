-- Records when a workspace's live generation was found correct. Relies on checkpoints_pkey.
UPDATE tidelog.checkpoints SET verified_at_ms = $3 WHERE workspace = $1 AND generation = $2 AND live
