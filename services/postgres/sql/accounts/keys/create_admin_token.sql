-- Inserts an admin token. Relies on admin_tokens_pkey.
INSERT INTO tidelog.admin_tokens (admin_token, created_at_ms, token_sha256) VALUES ($1, $2, $3)
