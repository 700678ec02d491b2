-- Reads the position of the last event that was stored at or before a time (0 if there is none), and the log's head. A
-- binary search, since received_at never steps back. Relies on (workspace, position).
WITH RECURSIVE search (low, high, head) AS (
    SELECT 0::bigint, edge.position, edge.position FROM (
        SELECT coalesce((
            SELECT l.position FROM tidelog.log l WHERE l.workspace = $1 ORDER BY l.position DESC LIMIT 1
        ), 0) AS position
    ) AS edge
    UNION ALL
    SELECT CASE WHEN m.is_before THEN m.middle ELSE s.low END, CASE WHEN m.is_before THEN s.high ELSE m.middle - 1 END,
        s.head
    FROM search s
    CROSS JOIN LATERAL (
        SELECT (s.low + s.high + 1) / 2 AS middle, (
            SELECT l.received_at_ms <= $2 FROM tidelog.log l
            WHERE l.workspace = $1 AND l.position BETWEEN (s.low + s.high + 1) / 2 AND (s.low + s.high + 1) / 2
            ORDER BY l.position LIMIT 1
        ) AS is_before
    ) AS m
    WHERE s.low < s.high
)
SELECT low AS position, head FROM search WHERE low = high LIMIT 1
