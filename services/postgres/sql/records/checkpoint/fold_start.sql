-- Reads the checkpoint of a workspace in a table set ($2), or the live one (null), with the digest of the _catalog
-- event in force there, and the position of the last _devices event up to there that gave a device an earlier name.
-- Relies on checkpoints_pkey, (workspace, position) and device_changes_replaces.
SELECT c.position, c.catalog_position, c.generation, c.table_set, c.refold_position, c.live, c.state_form,
    (SELECT l.digest FROM tidelog.log l
        WHERE l.workspace = $1 AND l.position BETWEEN c.catalog_position AND c.catalog_position
        ORDER BY l.position LIMIT 1),
    coalesce((SELECT d.position FROM tidelog.device_changes d
        WHERE d.workspace = $1 AND d.position <= c.position AND d.replaces IS NOT NULL
        ORDER BY d.position DESC LIMIT 1), 0)
FROM tidelog.checkpoints c
WHERE c.workspace = $1 AND CASE WHEN $2::smallint IS NULL THEN c.live ELSE c.table_set = $2 END
ORDER BY c.workspace, c.table_set
LIMIT 1
