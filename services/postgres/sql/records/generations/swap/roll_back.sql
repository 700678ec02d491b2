-- Makes the kept generation the live one again, of one workspace ($1) or of all that have one (null), in one statement.
-- Returns both generations of each. Relies on checkpoints_pkey.
UPDATE tidelog.checkpoints c SET live = NOT c.live
FROM tidelog.checkpoints kept
JOIN tidelog.checkpoints alive ON alive.workspace = kept.workspace AND alive.live AND alive.generation > kept.generation
WHERE NOT kept.live AND c.workspace = kept.workspace AND ($1::uuid IS NULL OR kept.workspace = $1)
RETURNING c.workspace, c.generation, c.live
