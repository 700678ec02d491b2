-- Inserts an enrollment key. Relies on enrollment_keys_pkey.
INSERT INTO tidelog.enrollment_keys (workspace, enrollment_key, created_at_ms, expires_at_ms, registrations_per_hour,
    registrations_max, role, scopes, token_sha256)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
