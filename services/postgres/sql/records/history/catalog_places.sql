-- Where a log's _catalog events are, up to a position, with what their content is known by. Relies on log_catalogs.
SELECT position, digest FROM tidelog.log
WHERE workspace = $1 AND table_name = '_catalog' AND position <= $2
ORDER BY seq
