-- Reads the role and scopes that a device had after a position. Before the event of its registration it had what that
-- event says. Relies on device_changes_access.
(
    SELECT c.role, c.scopes, true AS is_after FROM tidelog.device_changes c
    WHERE c.workspace = $1 AND c.device = $2 AND c.position <= $3 AND c.role IS NOT NULL
    ORDER BY c.device, c.position DESC LIMIT 1
) UNION ALL (
    SELECT c.role, c.scopes, false FROM tidelog.device_changes c
    WHERE c.workspace = $1 AND c.device = $2 AND c.position > $3 AND c.role IS NOT NULL
    ORDER BY c.device, c.position LIMIT 1
)
ORDER BY is_after DESC
LIMIT 1
