-- Reads the devices of a workspace, oldest first, or one of them ($2). Relies on devices_pkey and both keys of the log.
SELECT d.device, d.name, d.platform, d.role, d.scopes, d.registered_at_ms, d.revoked_at_ms IS NOT NULL AS revoked,
    d.replaces,
    coalesce((
        SELECT l.seq FROM tidelog.log l WHERE l.workspace = d.workspace AND l.device = d.device
        ORDER BY l.seq DESC LIMIT 1
    ), 0) AS last_seq,
    coalesce((
        SELECT l.position FROM tidelog.log l WHERE l.workspace = $1 ORDER BY l.position DESC LIMIT 1
    ), 0) AS head,
    p.acknowledged, p.last_seen_at_ms, p.app
FROM tidelog.devices d
LEFT JOIN tidelog.device_presence p ON p.workspace = d.workspace AND p.device = d.device
WHERE d.workspace = $1 AND ($2::uuid IS NULL OR d.device = $2)
ORDER BY d.registered_at_ms, d.device
