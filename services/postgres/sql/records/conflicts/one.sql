-- Reads one conflict of the live generation. Relies on conflicts_pkey.
SELECT c.*
FROM tidelog.checkpoints p
CROSS JOIN LATERAL (
    SELECT position, field, status, rule, table_name, scope, record, winner_position, winner_deleted, winner_value,
        loser_position, loser_deleted, loser_value, closed_position, beaten_by_position
    FROM tidelog.conflicts
    WHERE workspace = $1 AND table_set = p.table_set AND position = $2 AND field BETWEEN $3 AND $3
    ORDER BY position, field
    LIMIT 1
) c
WHERE p.workspace = $1 AND p.live
