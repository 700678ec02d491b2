-- Reads the head of a log, and the check of a cursor at a position if the log has an event there. Relies on heads_pkey
-- and (workspace, position).
SELECT h.catalog_version, h.access_position,
    coalesce((SELECT l.position FROM tidelog.log l WHERE l.workspace = $1 ORDER BY l.position DESC LIMIT 1), 0) AS head,
    (SELECT l.digest # l.received_at_ms FROM tidelog.log l WHERE l.workspace = $1 AND l.position BETWEEN $2 AND $2
        ORDER BY l.position LIMIT 1) AS cursor_check
FROM tidelog.heads h
WHERE h.workspace = $1
