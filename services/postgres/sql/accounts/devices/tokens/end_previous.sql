-- Ends the token that a device had before its present one ($3). Relies on devices_pkey.
UPDATE tidelog.devices SET previous_token_sha256 = NULL, previous_until_ms = NULL
WHERE workspace = $1 AND device = $2 AND token_sha256 = $3
