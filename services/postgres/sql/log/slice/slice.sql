-- Reads the next events of a log for folding, in order, including rejected ones. Fields of more than $4 bytes are left
-- out, and their size comes in their place, so that no read brings many large ones into memory. The columns are read by
-- their order. Relies on (workspace, position).
SELECT position, position - batch_offset AS batch, device, seq, base, at_ms, received_at_ms, digest, kind, table_name,
    record, scope, role, actor, conflict, rejected,
    CASE WHEN octet_length(fields) <= $4 THEN fields END,
    CASE WHEN octet_length(fields) > $4 THEN octet_length(fields) END
FROM tidelog.log
WHERE workspace = $1 AND position > $2
ORDER BY position
LIMIT $3
