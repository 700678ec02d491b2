-- Takes a generation that is being built back to its start, under a number that was never used. Its rows are deleted
-- next; a restart that is interrupted before that begins again with it. Relies on checkpoints_pkey and workspaces_pkey.
WITH made AS (
    UPDATE tidelog.workspaces SET generations = generations + 1 WHERE workspace = $1 RETURNING generations
)
UPDATE tidelog.checkpoints c SET position = 0, folded_position = 0, catalog_position = 0, refold_position = $3,
    generation = made.generations, state_form = $4
FROM made
WHERE c.workspace = $1 AND c.table_set = $2 AND NOT c.live
