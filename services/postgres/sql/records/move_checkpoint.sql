-- Moves the checkpoint, in the transaction that writes what was folded. Relies on checkpoints_pkey.
UPDATE tidelog.checkpoints SET position = $2, catalog_position = $3 WHERE workspace = $1
