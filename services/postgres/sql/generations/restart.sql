-- Takes a generation that is being made back to its start: its rows go next, and a start over that is cut short begins
-- with that again. Relies on checkpoints_pkey.
UPDATE tidelog.checkpoints SET position = 0, catalog_position = 0, refold_position = $3
WHERE workspace = $1 AND table_set = $2 AND NOT live
