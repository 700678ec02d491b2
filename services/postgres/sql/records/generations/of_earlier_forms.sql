-- Reads the workspaces whose live records are of a form before $1 and so cannot be folded on, in the order of their
-- ids. Reads every checkpoint. Relies on checkpoints_pkey.
SELECT workspace FROM tidelog.checkpoints WHERE live AND state_form < $1 AND position > 0 ORDER BY workspace
