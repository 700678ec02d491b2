-- Reads the enrollment keys and analyst tokens of a workspace, oldest first, without their secrets. Relies on
-- enrollment_keys_pkey and analyst_tokens_pkey.
SELECT enrollment_key AS key, 'enrollment' AS kind, role, scopes, registrations, created_at_ms, expires_at_ms,
    revoked_at_ms
FROM tidelog.enrollment_keys WHERE workspace = $1
UNION ALL
SELECT analyst_token, 'analyst', '', '{}', 0, created_at_ms, NULL, revoked_at_ms
FROM tidelog.analyst_tokens WHERE workspace = $1
ORDER BY created_at_ms, key
