-- Reads the records changed after a version, with the checkpoint in the same snapshot. Leaves out tombstones from
-- before the caller began ($3, null: now), since it never had those records. Relies on records_version.
SELECT c.position AS projected, c.catalog_position, c.generation, r.*
FROM tidelog.checkpoints c
LEFT JOIN LATERAL (
    SELECT table_name, scope, record, version, touched, updated_at_ms, deleted, fields, state
    FROM tidelog.records
    WHERE workspace = $1 AND table_set = c.table_set AND version > $2
        AND (NOT deleted OR version > coalesce($3, c.position))
        AND ($4::text[] IS NULL OR table_name = ANY ($4)) AND ($5::text[] IS NULL OR scope = ANY ($5))
    ORDER BY version
    LIMIT $6
) r ON true
WHERE c.workspace = $1 AND c.live
ORDER BY r.version
