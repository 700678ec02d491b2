-- Whether some workspace has a checkpoint in a set. Relies on checkpoints_pkey.
SELECT EXISTS (SELECT FROM tidelog.checkpoints c WHERE c.table_set = $1)
