-- The checkpoint of a new workspace, before the first event.
INSERT INTO tidelog.checkpoints (workspace) VALUES ($1)
