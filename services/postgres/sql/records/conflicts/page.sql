-- Reads the conflicts after one of them, of these tables and scopes (null: all) and one table, record or status (null:
-- any). Looks at no more than the next $10 rows. Each row has the bound up to which it looked, null if that is the end;
-- without a conflict one row comes, whose other columns are null. Relies on conflicts_pkey.
SELECT bound.position AS bound_position, bound.field AS bound_field, c.*
FROM tidelog.checkpoints p
LEFT JOIN LATERAL (
    SELECT position, field FROM tidelog.conflicts
    WHERE workspace = $1 AND table_set = p.table_set AND (position, field) > ($2, $3)
    ORDER BY position, field
    OFFSET $10 LIMIT 1
) bound ON true
LEFT JOIN LATERAL (
    SELECT position, field, status, rule, table_name, scope, record, winner_position, winner_deleted, winner_value,
        loser_position, loser_deleted, loser_value, closed_position, beaten_by_position
    FROM tidelog.conflicts
    WHERE workspace = $1 AND table_set = p.table_set AND (position, field) > ($2, $3)
        AND (position, field) <= (coalesce(bound.position, 9223372036854775807), coalesce(bound.field, ''))
        AND ($4::text[] IS NULL OR table_name = ANY ($4)) AND ($5::text[] IS NULL OR scope = ANY ($5))
        AND ($6::text IS NULL OR table_name = $6) AND ($7::text IS NULL OR record = $7)
        AND ($8::text IS NULL OR status = $8)
    ORDER BY position, field
    LIMIT $9
) c ON true
WHERE p.workspace = $1 AND p.live
ORDER BY c.position, c.field
