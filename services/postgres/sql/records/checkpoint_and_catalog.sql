-- How far a log is folded, with the digest of the _catalog event in force there. Relies on checkpoints_pkey and
-- (workspace, position).
SELECT c.position, c.catalog_position, c.generation,
    (SELECT l.digest FROM tidelog.log l WHERE l.workspace = $1 AND l.position BETWEEN c.catalog_position AND c.catalog_position
        ORDER BY l.position LIMIT 1)
FROM tidelog.checkpoints c
WHERE c.workspace = $1
