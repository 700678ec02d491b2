-- Counts the devices that were seen since a time, over all workspaces. Relies on no index: for the slow gauges alone.
SELECT count(*) FROM tidelog.device_presence WHERE last_seen_at_ms >= $1
