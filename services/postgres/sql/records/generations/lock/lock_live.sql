-- Takes the live checkpoint of a workspace and waits for whoever has it: until the end of the transaction no projector
-- moves it. Relies on checkpoints_pkey.
SELECT c.position, c.catalog_position, c.generation, c.table_set, c.refold_position, c.live
FROM tidelog.checkpoints c
WHERE c.workspace = $1 AND c.live
FOR UPDATE
