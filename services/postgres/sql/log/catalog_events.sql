-- The _catalog events of a log, newest first. Relies on log_pkey.
SELECT position, fields FROM tidelog.log
WHERE workspace = $1 AND device = '00000000-0000-0000-0000-000000000000' AND table_name = '_catalog'
ORDER BY seq DESC
