-- Deletes a checkpoint that is not live. Nothing reads its rows any more. Relies on checkpoints_pkey.
DELETE FROM tidelog.checkpoints WHERE workspace = $1 AND table_set = $2 AND generation = $3 AND NOT live
