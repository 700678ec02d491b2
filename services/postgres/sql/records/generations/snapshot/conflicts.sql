-- Reads the next conflicts of a workspace in a table set after one of them, in the order of the key. Relies on
-- conflicts_pkey.
SELECT position, field, status, closed_position, rule, table_name, scope, record,
    winner_position, winner_deleted, winner_value, loser_position, loser_deleted, loser_value,
    beaten_by_position
FROM tidelog.conflicts
WHERE workspace = $1 AND table_set = $2 AND (position, field) > ($3, $4)
ORDER BY position, field
LIMIT $5
