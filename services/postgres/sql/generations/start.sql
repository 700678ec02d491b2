-- Begins the next generation of a workspace in the set that its live one is not in, unless that set is taken. Relies on
-- checkpoints_pkey.
INSERT INTO tidelog.checkpoints (workspace, generation, refold_position, table_set, live)
SELECT c.workspace, c.generation + 1, $2, 1 - c.table_set, false
FROM tidelog.checkpoints c
WHERE c.workspace = $1 AND c.live
ON CONFLICT (workspace, table_set) DO NOTHING
