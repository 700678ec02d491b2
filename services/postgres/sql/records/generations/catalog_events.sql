-- Reads the _catalog events of a log, newest first. Relies on log_catalogs.
SELECT position, fields FROM tidelog.log
WHERE workspace = $1 AND table_name = '_catalog'
ORDER BY seq DESC
