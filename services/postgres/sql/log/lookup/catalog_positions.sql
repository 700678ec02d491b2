-- Reads the positions and digests of a log's _catalog events up to a position, in order. Relies on log_catalogs.
SELECT position, digest FROM tidelog.log
WHERE workspace = $1 AND table_name = '_catalog' AND position <= $2
ORDER BY seq
