-- Inserts the empty log of a new workspace. Relies on heads_pkey.
INSERT INTO tidelog.heads (workspace) VALUES ($1)
