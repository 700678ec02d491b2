-- Inserts the row of a _devices event that says whose op is readmitted. Relies on device_changes_pkey.
INSERT INTO tidelog.device_changes (workspace, device, position) VALUES ($1, $2, $3)
