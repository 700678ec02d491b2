-- Reads what an admin token is checked against. Relies on admin_tokens_pkey.
SELECT token_sha256, revoked_at_ms IS NOT NULL AS revoked FROM tidelog.admin_tokens WHERE admin_token = $1
