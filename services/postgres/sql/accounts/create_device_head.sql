-- A device that has pushed nothing yet.
INSERT INTO tidelog.device_heads (workspace, device) VALUES ($1, $2)
