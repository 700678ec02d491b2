-- Reads the device that a key registered with a nonce after a time. Relies on devices_nonce and log_pkey.
SELECT d.device, d.name, d.role, d.scopes, d.revoked_at_ms IS NOT NULL AS revoked, coalesce((
        SELECT l.seq FROM tidelog.log l WHERE l.workspace = d.workspace AND l.device = d.device
        ORDER BY l.seq DESC LIMIT 1
    ), 0) AS last_seq
FROM tidelog.devices d
WHERE d.workspace = $1 AND d.enrolled_by = $2 AND d.nonce = $3 AND d.registered_at_ms > $4
ORDER BY d.registered_at_ms DESC
LIMIT 1
