-- Reads the conflicts that changed after a change, in the order of their last change, of these tables and scopes (null:
-- all) and one table, record or status (null: any). Looks at no more than the next $11 rows. Each row has the generation,
-- and the bound up to which it looked, null if that is the end; without a conflict one row comes, whose other columns are
-- null. Relies on conflicts_changed.
SELECT p.generation, bound.changed_at AS bound_changed_at, bound.position AS bound_position,
    bound.field AS bound_field, c.*
FROM tidelog.checkpoints p
LEFT JOIN LATERAL (
    SELECT greatest(position, closed_position) AS changed_at, position, field FROM tidelog.conflicts
    WHERE workspace = $1 AND table_set = p.table_set
        AND (greatest(position, closed_position), position, field) > ($2, $3, $4)
    ORDER BY greatest(position, closed_position), position, field
    OFFSET $11 LIMIT 1
) bound ON true
LEFT JOIN LATERAL (
    SELECT position, field, status, rule, table_name, scope, record, winner_position, winner_deleted, winner_value,
        loser_position, loser_deleted, loser_value, closed_position, beaten_by_position
    FROM tidelog.conflicts
    WHERE workspace = $1 AND table_set = p.table_set
        AND (greatest(position, closed_position), position, field) > ($2, $3, $4)
        AND (greatest(position, closed_position), position, field)
            <= (coalesce(bound.changed_at, 9223372036854775807), coalesce(bound.position, 0), coalesce(bound.field, ''))
        AND ($5::text[] IS NULL OR table_name = ANY ($5)) AND ($6::text[] IS NULL OR scope = ANY ($6))
        AND ($7::text IS NULL OR table_name = $7) AND ($8::text IS NULL OR record = $8)
        AND ($9::text IS NULL OR status = $9)
    ORDER BY greatest(position, closed_position), position, field
    LIMIT $10
) c ON true
WHERE p.workspace = $1 AND p.live
ORDER BY greatest(c.position, c.closed_position), c.position, c.field
