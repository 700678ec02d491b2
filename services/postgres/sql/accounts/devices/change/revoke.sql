-- Revokes a device. Relies on devices_pkey.
UPDATE tidelog.devices SET revoked_at_ms = $3 WHERE workspace = $1 AND device = $2
