-- Notes that the event at a position says who a device is. Relies on device_changes_pkey.
INSERT INTO tidelog.device_changes (workspace, device, position, replaces, replaces_through, role, scopes)
VALUES ($1, $2, $3, $4, $5, $6, $7)
