-- Reads, among the first $5 blocks of a record's history, those with positions after a position. Relies on
-- record_events_pkey.
SELECT e.positions
FROM tidelog.checkpoints c
CROSS JOIN LATERAL (
    SELECT block, positions FROM tidelog.record_events
    WHERE workspace = $1 AND table_set = c.table_set AND table_name = $2 AND scope = $3 AND record = $4 AND block < $5
        AND positions[cardinality(positions)] > $6
    ORDER BY table_name, scope, record, block
    LIMIT $7
) e
WHERE c.workspace = $1 AND c.live
ORDER BY e.block
