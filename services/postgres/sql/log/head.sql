-- The head of a log, and the digest at a position of it if there is one. Relies on heads_pkey and (workspace, position).
SELECT h.head, h.catalog_version,
    (SELECT l.digest FROM tidelog.log l WHERE l.workspace = $1 AND l.position = $2) AS digest
FROM tidelog.heads h
WHERE h.workspace = $1
