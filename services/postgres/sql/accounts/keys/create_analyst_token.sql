-- Inserts an analyst token. Relies on analyst_tokens_pkey.
INSERT INTO tidelog.analyst_tokens (workspace, analyst_token, created_at_ms, token_sha256) VALUES ($1, $2, $3, $4)
