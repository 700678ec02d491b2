-- Reads the checkpoint of a workspace in a table set ($2), or the live one (null), with the digest of the _catalog
-- event in force there. Relies on checkpoints_pkey and (workspace, position).
SELECT c.position, c.catalog_position, c.generation, c.table_set, c.refold_position, c.live,
    (SELECT l.digest FROM tidelog.log l
        WHERE l.workspace = $1 AND l.position BETWEEN c.catalog_position AND c.catalog_position
        ORDER BY l.position LIMIT 1)
FROM tidelog.checkpoints c
WHERE c.workspace = $1 AND CASE WHEN $2::smallint IS NULL THEN c.live ELSE c.table_set = $2 END
ORDER BY c.workspace, c.table_set
LIMIT 1
