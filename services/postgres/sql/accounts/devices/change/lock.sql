-- Locks a device until the end of the transaction, and reads what it is. A device of a server from before
-- replaces_through replaces all that the other one has pushed. Relies on devices_pkey and log_pkey.
SELECT d.name, d.role, d.scopes, d.replaces, d.event_position, d.access_position, d.event_fields, d.event_digest,
    d.revoked_at_ms IS NOT NULL AS revoked,
    coalesce(d.replaces_through, (
        SELECT l.seq FROM tidelog.log l WHERE l.workspace = d.workspace AND l.device = d.replaces
        ORDER BY l.seq DESC LIMIT 1
    ), 0) AS replaces_through
FROM tidelog.devices d
WHERE d.workspace = $1 AND d.device = $2
FOR UPDATE OF d
