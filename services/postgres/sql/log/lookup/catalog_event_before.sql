-- Reads the last _catalog event before a position. Relies on log_catalogs, whose seqs rise with the positions.
SELECT position, position - batch_offset AS batch, device, seq, base, at_ms, received_at_ms, digest, kind, table_name,
    record, scope, role, actor, conflict, rejected, fields
FROM tidelog.log
WHERE workspace = $1 AND table_name = '_catalog' AND position < $2
ORDER BY seq DESC
LIMIT 1
