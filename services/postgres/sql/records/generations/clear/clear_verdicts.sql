-- Deletes at most $3 verdicts of a workspace in a table set. Relies on verdicts_pkey.
DELETE FROM tidelog.verdicts v USING (
    SELECT position FROM tidelog.verdicts WHERE workspace = $1 AND table_set = $2 ORDER BY position LIMIT $3
) AS d
WHERE v.workspace = $1 AND v.table_set = $2 AND v.position = d.position
