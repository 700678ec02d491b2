-- Makes the generation that is kept the live one again, of one workspace ($1) or of all that have one, in one statement;
-- the workspaces come once for each. Relies on checkpoints_pkey.
UPDATE tidelog.checkpoints c SET live = NOT c.live
FROM tidelog.checkpoints kept
JOIN tidelog.checkpoints alive ON alive.workspace = kept.workspace AND alive.live AND alive.generation > kept.generation
WHERE NOT kept.live AND c.workspace = kept.workspace AND ($1::uuid IS NULL OR kept.workspace = $1)
RETURNING c.workspace, c.generation, c.live
