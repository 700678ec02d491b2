-- Reads the next verdicts of a workspace in a table set after a position. Relies on verdicts_pkey.
SELECT position, verdict FROM tidelog.verdicts
WHERE workspace = $1 AND table_set = $2 AND position > $3
ORDER BY position
LIMIT $4
