-- Marks a rejected event as readmitted, with the position of the event it became; does nothing if it has a mark. Relies
-- on readmitted_pkey.
INSERT INTO tidelog.readmitted (workspace, position, readmitted_position, readmitted_at_ms) VALUES ($1, $2, $3, $4)
ON CONFLICT (workspace, position) DO NOTHING
