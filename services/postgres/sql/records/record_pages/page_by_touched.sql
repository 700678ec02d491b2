-- Reads the records that events after a position have named, including all tombstones, with the checkpoint in the same
-- snapshot. First the records that their last event did not change; then, up to the last of these if there are enough,
-- the records that it changed. Relies on records_touched for the former and records_version for the latter.
SELECT c.position AS projected, c.catalog_position, c.generation, r.*
FROM tidelog.checkpoints c
LEFT JOIN LATERAL (
    WITH kept AS MATERIALIZED (
        SELECT table_name, scope, record, version, touched, updated_at_ms, deleted, fields, state
        FROM tidelog.records
        WHERE workspace = $1 AND table_set = c.table_set AND touched > version AND touched > $2
            AND ($3::text[] IS NULL OR table_name = ANY ($3)) AND ($4::text[] IS NULL OR scope = ANY ($4))
        ORDER BY touched
        LIMIT $5
    ), reach AS MATERIALIZED (
        SELECT CASE WHEN count(*) < $5 THEN c.position ELSE max(touched) END AS position FROM kept
    )
    SELECT * FROM kept
    UNION ALL
    (SELECT table_name, scope, record, version, touched, updated_at_ms, deleted, fields, state
    FROM tidelog.records
    WHERE workspace = $1 AND table_set = c.table_set AND touched = version
        AND version > $2 AND version <= (SELECT position FROM reach)
        AND ($3::text[] IS NULL OR table_name = ANY ($3)) AND ($4::text[] IS NULL OR scope = ANY ($4))
    ORDER BY version
    LIMIT $5)
    ORDER BY touched
    LIMIT $5
) r ON true
WHERE c.workspace = $1 AND c.live
ORDER BY r.touched
