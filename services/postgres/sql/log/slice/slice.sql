-- The next events of a log, rejected ones too, in order, for folding. Fields of more than $4 bytes stay where they are:
-- their size comes in their place, and no page of large ones is ever in memory. Read by the order of the columns.
-- Relies on (workspace, position).
SELECT position, position - batch_offset, device, seq, base, at_ms, received_at_ms, digest, kind, table_name, record, scope, role, actor,
    conflict, rejected,
    CASE WHEN octet_length(fields) <= $4 THEN fields END, CASE WHEN octet_length(fields) > $4 THEN octet_length(fields) END
FROM tidelog.log
WHERE workspace = $1 AND position > $2
ORDER BY position
LIMIT $3
