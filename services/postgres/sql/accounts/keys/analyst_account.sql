-- Reads what an analyst token is checked against. Relies on analyst_tokens_pkey.
SELECT token_sha256, revoked_at_ms IS NOT NULL AS revoked
FROM tidelog.analyst_tokens WHERE workspace = $1 AND analyst_token = $2
