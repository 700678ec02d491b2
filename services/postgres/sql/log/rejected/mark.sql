-- Notes that a rejected event is readmitted, and as what; not if it is already. Relies on readmitted_pkey.
INSERT INTO tidelog.readmitted (workspace, position, readmitted_position, readmitted_at_ms) VALUES ($1, $2, $3, $4)
ON CONFLICT (workspace, position) DO NOTHING
