-- Reads the digests of the live tables, of these tables and scopes (null: all), with the checkpoint in the same
-- snapshot. Relies on digests_pkey.
SELECT c.position AS projected, d.table_name, d.records, d.high, d.low
FROM tidelog.checkpoints c
LEFT JOIN LATERAL (
    SELECT table_name, records, high, low FROM tidelog.digests
    WHERE workspace = $1 AND table_set = c.table_set
        AND ($2::text[] IS NULL OR table_name = ANY ($2)) AND scope = ANY (coalesce($3::text[], ARRAY['*']))
    ORDER BY table_name, scope
) d ON true
WHERE c.workspace = $1 AND c.live
