-- Reads what an enrollment key is checked against. Relies on enrollment_keys_pkey.
SELECT token_sha256, revoked_at_ms, expires_at_ms, registrations, registrations_max, hour_started_at_ms
FROM tidelog.enrollment_keys WHERE workspace = $1 AND enrollment_key = $2
