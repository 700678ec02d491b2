-- Reads every catalog that is or was in force, oldest first. Relies on catalogs_pkey.
SELECT version, applied_at_ms, source, fields FROM tidelog.catalogs ORDER BY version
