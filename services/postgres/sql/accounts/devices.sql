-- The devices of a workspace, or one of them. Relies on devices_pkey.
SELECT d.device, d.name, d.platform, d.role, d.scopes, d.registered_at_ms, d.revoked_at_ms IS NOT NULL AS revoked, d.replaces,
    dh.last_seq, h.head, p.acknowledged, p.last_seen_at_ms, p.app
FROM tidelog.devices d
JOIN tidelog.heads h ON h.workspace = d.workspace
JOIN tidelog.device_heads dh ON dh.workspace = d.workspace AND dh.device = d.device
LEFT JOIN tidelog.device_presence p ON p.workspace = d.workspace AND p.device = d.device
WHERE d.workspace = $1 AND ($2::uuid IS NULL OR d.device = $2)
ORDER BY d.registered_at_ms, d.device
