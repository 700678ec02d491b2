-- Reads the catalog of a version. Relies on catalogs_pkey.
SELECT version, applied_at_ms, source, fields FROM tidelog.catalogs WHERE version = $1
