-- Takes a generation that is being made back to its start, under a number that was never given: its rows go next, and a
-- start over that is cut short begins with that again. Relies on checkpoints_pkey and workspaces_pkey.
WITH made AS (
    UPDATE tidelog.workspaces SET generations = generations + 1 WHERE workspace = $1 RETURNING generations
)
UPDATE tidelog.checkpoints c SET position = 0, catalog_position = 0, refold_position = $3, generation = made.generations
FROM made
WHERE c.workspace = $1 AND c.table_set = $2 AND NOT c.live
