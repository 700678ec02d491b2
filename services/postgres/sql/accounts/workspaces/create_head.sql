-- The empty log of a new workspace.
INSERT INTO tidelog.heads (workspace) VALUES ($1)
