-- Gives a device another token. The token by which it asked ($3) stays valid until a time, unless it is no longer valid
-- now ($6). Relies on devices_pkey.
UPDATE tidelog.devices SET token_sha256 = $4, previous_token_sha256 = $3, previous_until_ms = $5
WHERE workspace = $1 AND device = $2 AND revoked_at_ms IS NULL
    AND (token_sha256 = $3 OR (previous_token_sha256 = $3 AND previous_until_ms > $6))
