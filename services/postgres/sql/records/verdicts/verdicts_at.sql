-- Reads the stored verdicts of the events at these positions, each with the fields of the conflicts that the event
-- made. Relies on verdicts_pkey and conflicts_pkey.
SELECT v.position, v.verdict, ARRAY(
    SELECT c.field FROM tidelog.conflicts c
    WHERE c.workspace = $1 AND c.table_set = k.table_set AND c.position BETWEEN v.position AND v.position
    ORDER BY c.position, c.field
) AS fields
FROM tidelog.checkpoints k
CROSS JOIN unnest($2::bigint[]) AS p (position)
CROSS JOIN LATERAL (
    SELECT position, verdict FROM tidelog.verdicts
    WHERE workspace = $1 AND table_set = k.table_set AND position BETWEEN p.position AND p.position
    ORDER BY position
    LIMIT 1
) v
WHERE k.workspace = $1 AND k.live
