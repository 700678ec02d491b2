-- Reads what a device may do and what its token is checked against, with the position of the log's last change of
-- anybody's role or scopes. Relies on devices_pkey and heads_pkey.
SELECT d.role, d.scopes, d.access_position, d.token_sha256, d.previous_token_sha256, d.previous_until_ms,
    d.revoked_at_ms IS NOT NULL AS revoked, d.event_position = 0 AND d.event_fields IS NULL AS lacks_event,
    h.access_position AS as_of
FROM tidelog.devices d
JOIN tidelog.heads h ON h.workspace = d.workspace
WHERE d.workspace = $1 AND d.device = $2
