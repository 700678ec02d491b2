-- Reads what a device's token is checked against. Relies on devices_pkey.
SELECT role, scopes, token_sha256, previous_token_sha256, previous_until_ms, revoked_at_ms IS NOT NULL AS revoked
FROM tidelog.devices WHERE workspace = $1 AND device = $2
