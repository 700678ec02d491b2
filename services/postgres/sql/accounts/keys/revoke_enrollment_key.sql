-- Revokes an enrollment key. The devices that it registered stay. Relies on enrollment_keys_pkey.
UPDATE tidelog.enrollment_keys SET revoked_at_ms = coalesce(revoked_at_ms, $3)
WHERE workspace = $1 AND enrollment_key = $2
