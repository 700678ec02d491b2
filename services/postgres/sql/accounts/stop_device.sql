-- Stops a device's pushes, seen under the log's lock. Relies on device_heads_pkey.
UPDATE tidelog.device_heads SET revoked = true WHERE workspace = $1 AND device = $2
