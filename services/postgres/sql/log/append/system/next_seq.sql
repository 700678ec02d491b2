-- Reads the first seq that a device has not used. Relies on log_pkey.
SELECT 1 + coalesce((
    SELECT l.seq FROM tidelog.log l WHERE l.workspace = $1 AND l.device = $2 ORDER BY l.seq DESC LIMIT 1
), 0) AS seq
