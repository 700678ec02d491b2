-- Reads the catalog in force. Relies on catalogs_pkey.
SELECT version, applied_at_ms, source, fields FROM tidelog.catalogs ORDER BY version DESC LIMIT 1
