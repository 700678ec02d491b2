-- How many conflicts of a workspace nobody has settled. Relies on records_open_conflicts.
SELECT coalesce(sum(open_conflicts), 0)::bigint FROM tidelog.records WHERE workspace = $1 AND open_conflicts > 0
