-- Moves a checkpoint, in the transaction that writes the step. Relies on checkpoints_pkey.
UPDATE tidelog.checkpoints SET position = $3, catalog_position = $4 WHERE workspace = $1 AND table_set = $2
