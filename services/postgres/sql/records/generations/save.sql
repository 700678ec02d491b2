-- Notes that everything of a workspace's live generation was found as it should be. Relies on checkpoints_pkey.
UPDATE tidelog.checkpoints SET verified_at_ms = $3 WHERE workspace = $1 AND generation = $2 AND live
