-- A registration may be repeated by its nonce, and a device may renew its token.

ALTER TABLE tidelog.devices
    ADD COLUMN nonce text,
    ADD COLUMN previous_token_sha256 bytea,
    ADD COLUMN previous_until_ms bigint;
COMMENT ON COLUMN tidelog.devices.nonce IS 'What the client made up to name the registration, so that it may repeat it; null if it gave none';
COMMENT ON COLUMN tidelog.devices.previous_token_sha256 IS 'The token before the present one, as long as the present one was not used; null if there is none';
COMMENT ON COLUMN tidelog.devices.previous_until_ms IS 'Until when the token before the present one is valid';

-- Finds the device that a key registered with a nonce.
CREATE INDEX devices_nonce ON tidelog.devices (workspace, enrolled_by, nonce) WHERE nonce IS NOT NULL;
