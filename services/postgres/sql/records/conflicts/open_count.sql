-- Counts the open conflicts of these tables and scopes (null: all). Relies on records_open_conflicts.
SELECT coalesce(sum(r.open_conflicts), 0)::bigint
FROM tidelog.checkpoints c
JOIN tidelog.records r ON r.workspace = $1 AND r.table_set = c.table_set AND r.open_conflicts > 0
WHERE c.workspace = $1 AND c.live
    AND ($2::text[] IS NULL OR r.table_name = ANY ($2)) AND ($3::text[] IS NULL OR r.scope = ANY ($3))
