-- Reads the last seq of a device at or before a position (0 if there is none), with its last seq given. A binary search,
-- since the positions of a device's events ascend with their seqs. Relies on log_pkey.
WITH RECURSIVE search (low, high) AS (
    SELECT 0::bigint, $3::bigint
    UNION ALL
    SELECT CASE WHEN m.is_there THEN m.middle ELSE s.low END, CASE WHEN m.is_there THEN s.high ELSE m.middle - 1 END
    FROM search s
    CROSS JOIN LATERAL (
        SELECT (s.low + s.high + 1) / 2 AS middle, (
            SELECT l.position <= $4 FROM tidelog.log l
            WHERE l.workspace = $1 AND l.device = $2 AND l.seq BETWEEN (s.low + s.high + 1) / 2 AND (s.low + s.high + 1) / 2
            ORDER BY l.seq LIMIT 1
        ) AS is_there
    ) AS m
    WHERE s.low < s.high
)
SELECT low AS seq FROM search WHERE low = high LIMIT 1
