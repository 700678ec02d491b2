-- Inserts a workspace. Relies on workspaces_pkey.
INSERT INTO tidelog.workspaces (workspace, name, created_at_ms) VALUES ($1, $2, $3)
