-- Revokes an analyst token. Relies on analyst_tokens_pkey.
UPDATE tidelog.analyst_tokens SET revoked_at_ms = coalesce(revoked_at_ms, $3)
WHERE workspace = $1 AND analyst_token = $2
