-- Inserts the checkpoint of a new workspace, before the first event, in the table set that other workspaces use. Relies
-- on checkpoints_pkey.
INSERT INTO tidelog.checkpoints (workspace, generation, table_set, live, state_form)
SELECT $1, 1, coalesce((
    SELECT c.table_set FROM tidelog.checkpoints c WHERE c.live ORDER BY c.workspace, c.table_set LIMIT 1
), 0), true, $2
