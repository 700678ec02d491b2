-- Reads the events of one device in a range of seqs, in order. Relies on log_pkey.
SELECT position, position - batch_offset AS batch, device, seq, base, at_ms, received_at_ms, digest, kind, table_name,
    record, scope, role, actor, conflict, rejected, fields
FROM tidelog.log
WHERE workspace = $1 AND device = $2 AND seq BETWEEN $3 AND $4
ORDER BY seq
