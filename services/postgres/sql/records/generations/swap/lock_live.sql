-- Locks the live checkpoint of a workspace, waiting for another holder: no projector moves it until the transaction
-- ends. Relies on checkpoints_pkey.
SELECT c.position, c.catalog_position, c.generation, c.table_set, c.refold_position, c.live, c.state_form
FROM tidelog.checkpoints c
WHERE c.workspace = $1 AND c.live
FOR UPDATE
