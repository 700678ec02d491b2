-- Notes in the head of a log that the event at a position changed what a device may do. Relies on heads_pkey.
UPDATE tidelog.heads SET access_position = $2 WHERE workspace = $1
