-- Reads the last event of a device, and the position of its next event after a seq (null: none). Relies on log_pkey.
SELECT last.seq AS last_seq, last.position AS last_position, (
    SELECT l.position FROM tidelog.log l WHERE l.workspace = $1 AND l.device = $2 AND l.seq > $3
    ORDER BY l.seq LIMIT 1
) AS next_position
FROM (
    SELECT l.seq, l.position FROM tidelog.log l WHERE l.workspace = $1 AND l.device = $2
    ORDER BY l.seq DESC LIMIT 1
) last
