-- Reads whether any workspace has a checkpoint in a table set. Relies on checkpoints_pkey.
SELECT EXISTS (SELECT FROM tidelog.checkpoints c WHERE c.table_set = $1)
