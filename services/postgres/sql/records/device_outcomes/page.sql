-- Reads what became of a device's events from a position on, in order: of those that are folded and did not simply apply,
-- each with the fields of the conflicts that it made, and with its own fields if it was rejected. Looks at no more than
-- the next $6 verdicts of the workspace. Each row has the checkpoint, and the bound up to which it looked, null if that is
-- the checkpoint; without an event one row comes, whose other columns are null. Relies on verdicts_pkey,
-- (workspace, position), log_rejected and conflicts_pkey.
SELECT k.position AS projected, bound.position AS bound_position, o.*, ARRAY(
    SELECT c.field FROM tidelog.conflicts c
    WHERE c.workspace = $1 AND c.table_set = k.table_set AND c.position BETWEEN o.position AND o.position
    ORDER BY c.position, c.field
) AS conflict_fields
FROM tidelog.checkpoints k
LEFT JOIN LATERAL (
    SELECT v.position FROM tidelog.verdicts v
    WHERE v.workspace = $1 AND v.table_set = k.table_set AND v.position >= $3 AND v.position <= k.position
    ORDER BY v.position
    OFFSET $6 LIMIT 1
) bound ON true
LEFT JOIN LATERAL (
    (SELECT l.seq, l.position, l.table_name, l.scope, l.record, v.verdict, '' AS rejected, ''::bytea AS fields
    FROM (
        SELECT position, verdict FROM tidelog.verdicts
        WHERE workspace = $1 AND table_set = k.table_set
            AND position >= $3 AND position <= coalesce(bound.position, k.position)
        ORDER BY position
    ) v
    CROSS JOIN LATERAL (
        SELECT seq, position, device, table_name, scope, record FROM tidelog.log
        WHERE workspace = $1 AND position BETWEEN v.position AND v.position
        ORDER BY position
        LIMIT 1
    ) l
    WHERE l.device = $2
    ORDER BY v.position
    LIMIT $5)
    UNION ALL
    (SELECT seq, position, table_name, scope, record, 'rejected', rejected, fields
    FROM tidelog.log
    WHERE workspace = $1 AND device = $2 AND rejected <> '' AND seq > $4
        AND position <= coalesce(bound.position, k.position)
    ORDER BY seq
    LIMIT $5)
    ORDER BY position
    LIMIT $5
) o ON true
WHERE k.workspace = $1 AND k.live
ORDER BY o.position
