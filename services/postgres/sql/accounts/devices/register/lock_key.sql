-- Locks an enrollment key until the end of the transaction, so that registrations with one nonce come one after the
-- other. Relies on enrollment_keys_pkey.
SELECT revoked_at_ms IS NOT NULL AS revoked FROM tidelog.enrollment_keys
WHERE workspace = $1 AND enrollment_key = $2
FOR UPDATE
