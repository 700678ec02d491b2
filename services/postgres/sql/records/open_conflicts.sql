-- How many conflicts nobody has settled, of these tables and scopes (null: all). Relies on records_open_conflicts.
SELECT coalesce(sum(open_conflicts), 0)::bigint
FROM tidelog.records
WHERE workspace = $1 AND open_conflicts > 0
    AND ($2::text[] IS NULL OR table_name = ANY ($2)) AND ($3::text[] IS NULL OR scope = ANY ($3))
