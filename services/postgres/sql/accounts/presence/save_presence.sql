-- Saves what devices of one workspace reported about themselves. Neither an acknowledged position nor a time of last
-- contact goes back. Relies on device_presence_pkey.
INSERT INTO tidelog.device_presence AS p (workspace, device, acknowledged, last_seen_at_ms, app)
SELECT $1, s.device, s.acknowledged, s.last_seen_at_ms, s.app
FROM unnest($2::uuid[], $3::bigint[], $4::bigint[], $5::text[]) AS s (device, acknowledged, last_seen_at_ms, app)
ON CONFLICT (workspace, device) DO UPDATE
SET acknowledged = greatest(p.acknowledged, excluded.acknowledged),
    last_seen_at_ms = greatest(p.last_seen_at_ms, excluded.last_seen_at_ms),
    app = coalesce(excluded.app, p.app)
