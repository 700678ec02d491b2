-- Where a log's _catalog events are, up to a position, with what their content is known by: the system device's events
-- are few. Relies on log_pkey.
SELECT position, digest FROM tidelog.log
WHERE workspace = $1 AND device = '00000000-0000-0000-0000-000000000000' AND table_name = '_catalog' AND position <= $2
ORDER BY seq
