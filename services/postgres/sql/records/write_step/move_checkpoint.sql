-- Moves a checkpoint, in the transaction that writes the step in states of form $5. Relies on checkpoints_pkey.
UPDATE tidelog.checkpoints SET position = $3, folded_position = $3, catalog_position = $4, state_form = $5
WHERE workspace = $1 AND table_set = $2
