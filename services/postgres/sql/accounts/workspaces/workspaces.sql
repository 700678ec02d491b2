-- Reads every workspace, oldest first, with head, live checkpoint and number of devices, for operators. Relies on
-- checkpoints_pkey and (workspace, position).
SELECT w.workspace, w.name, w.created_at_ms, c.position AS projected,
    coalesce((
        SELECT l.position FROM tidelog.log l WHERE l.workspace = w.workspace ORDER BY l.position DESC LIMIT 1
    ), 0) AS head,
    (SELECT count(*) FROM tidelog.devices d WHERE d.workspace = w.workspace AND d.revoked_at_ms IS NULL) AS devices
FROM tidelog.workspaces w
JOIN tidelog.checkpoints c ON c.workspace = w.workspace AND c.live
ORDER BY w.created_at_ms, w.workspace
