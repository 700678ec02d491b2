-- Reads the first seq that a device has not used, and the head of the log. Relies on log_pkey and (workspace, position).
SELECT 1 + coalesce((
    SELECT l.seq FROM tidelog.log l WHERE l.workspace = $1 AND l.device = $2 ORDER BY l.seq DESC LIMIT 1
), 0) AS seq, coalesce((
    SELECT l.position FROM tidelog.log l WHERE l.workspace = $1 ORDER BY l.position DESC LIMIT 1
), 0) AS head
