-- Reads one record's conflicts after one of them, of one status (null: any). Relies on conflicts_record.
SELECT c.*
FROM tidelog.checkpoints p
CROSS JOIN LATERAL (
    SELECT position, field, status, rule, table_name, scope, record, winner_position, winner_deleted, winner_value,
        loser_position, loser_deleted, loser_value, closed_position, beaten_by_position
    FROM tidelog.conflicts
    WHERE workspace = $1 AND table_set = p.table_set AND table_name = $4 AND scope = $5 AND record = $6
        AND (position, field) > ($2, $3) AND ($7::text IS NULL OR status = $7)
    ORDER BY table_name, scope, record, position, field
    LIMIT $8
) c
WHERE p.workspace = $1 AND p.live
ORDER BY c.position, c.field
