-- Makes the other generation of a workspace the live one, in one statement. Relies on checkpoints_pkey.
UPDATE tidelog.checkpoints SET live = NOT live WHERE workspace = $1
