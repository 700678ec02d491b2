-- Reads the checkpoint of a workspace in a table set ($2), or the live one (null). Relies on checkpoints_pkey.
SELECT position, catalog_position, generation, table_set, refold_position, live, state_form
FROM tidelog.checkpoints
WHERE workspace = $1 AND CASE WHEN $2::smallint IS NULL THEN live ELSE table_set = $2 END
ORDER BY workspace, table_set
LIMIT 1
