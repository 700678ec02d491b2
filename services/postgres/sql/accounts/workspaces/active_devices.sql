-- How many devices were heard of since a time, over all workspaces. For the slow gauges only.
SELECT count(*) FROM tidelog.device_presence WHERE last_seen_at_ms >= $1
