-- Every workspace with how far it is: for operators.
SELECT w.workspace, w.name, w.created_at_ms, h.head, c.position AS projected,
    (SELECT count(*) FROM tidelog.devices d WHERE d.workspace = w.workspace AND d.revoked_at_ms IS NULL) AS devices
FROM tidelog.workspaces w
JOIN tidelog.heads h ON h.workspace = w.workspace
JOIN tidelog.checkpoints c ON c.workspace = w.workspace
ORDER BY w.created_at_ms, w.workspace
