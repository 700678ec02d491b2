-- Gives a device another token. The tokens that it had before are no longer valid. Relies on devices_pkey.
UPDATE tidelog.devices SET token_sha256 = $3, previous_token_sha256 = NULL, previous_until_ms = NULL
WHERE workspace = $1 AND device = $2
