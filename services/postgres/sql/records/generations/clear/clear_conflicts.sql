-- Deletes at most $3 conflicts of a workspace in a table set. Relies on conflicts_pkey.
DELETE FROM tidelog.conflicts c USING (
    SELECT position, field FROM tidelog.conflicts WHERE workspace = $1 AND table_set = $2
    ORDER BY position, field LIMIT $3
) AS d
WHERE c.workspace = $1 AND c.table_set = $2 AND c.position = d.position AND c.field = d.field
