-- How far a log is folded. Relies on checkpoints_pkey.
SELECT position, catalog_position, generation FROM tidelog.checkpoints WHERE workspace = $1
