-- Reads the stored verdicts of the events in a range of positions, each with the fields of the conflicts that the event
-- made. Relies on verdicts_pkey and conflicts_pkey.
SELECT v.position, v.verdict, ARRAY(
    SELECT c.field FROM tidelog.conflicts c
    WHERE c.workspace = $1 AND c.table_set = k.table_set AND c.position BETWEEN v.position AND v.position
    ORDER BY c.position, c.field
) AS fields
FROM tidelog.checkpoints k
CROSS JOIN LATERAL (
    SELECT position, verdict FROM tidelog.verdicts
    WHERE workspace = $1 AND table_set = k.table_set AND position BETWEEN $2 AND $3
    ORDER BY position
) v
WHERE k.workspace = $1 AND k.live
