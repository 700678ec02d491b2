-- Writes what a device is, and what of it the log has. Relies on devices_pkey.
UPDATE tidelog.devices SET name = $3, role = $4, scopes = $5, replaces_through = $6, event_position = $7,
    access_position = $8, event_digest = $9, event_fields = $10
WHERE workspace = $1 AND device = $2
