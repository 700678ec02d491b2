-- Inserts a device. Relies on devices_pkey.
INSERT INTO tidelog.devices (workspace, device, registered_at_ms, replaces, enrolled_by, name, platform, role, scopes,
    token_sha256, nonce, replaces_through, event_digest, event_fields)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
