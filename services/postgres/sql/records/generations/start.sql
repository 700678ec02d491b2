-- Starts the next generation of a workspace in the table set that its live one is not in, unless that set has a
-- generation. Its number was never used before, not even by a generation that was dropped: cursors name the records by
-- it. Relies on checkpoints_pkey and workspaces_pkey.
WITH made AS (
    UPDATE tidelog.workspaces SET generations = generations + 1 WHERE workspace = $1 RETURNING generations
)
INSERT INTO tidelog.checkpoints (workspace, generation, refold_position, table_set, live, state_form)
SELECT c.workspace, made.generations, $2, 1 - c.table_set, false, $3
FROM tidelog.checkpoints c CROSS JOIN made
WHERE c.workspace = $1 AND c.live
ON CONFLICT (workspace, table_set) DO NOTHING
