-- Reads the rejected events in a range of positions, in order, of one code and table if these are given, each with the
-- position that it was readmitted at. Relies on (workspace, position) and readmitted_pkey.
SELECT l.position, l.position - l.batch_offset AS batch, l.device, l.seq, l.base, l.at_ms, l.received_at_ms, l.digest,
    l.kind, l.table_name, l.record, l.scope, l.role, l.actor, l.conflict, l.rejected, l.fields,
    (SELECT r.readmitted_position FROM tidelog.readmitted r
        WHERE r.workspace = $1 AND r.position BETWEEN l.position AND l.position
        ORDER BY r.position LIMIT 1) AS readmitted_position
FROM tidelog.log l
WHERE l.workspace = $1 AND l.position > $2 AND l.position <= $3 AND l.rejected <> ''
    AND ($4::text IS NULL OR l.rejected = $4) AND ($5::text IS NULL OR l.table_name = $5)
ORDER BY l.position
