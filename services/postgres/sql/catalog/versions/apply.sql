-- Puts a catalog in force, unless another caller has taken its version meanwhile. Relies on catalogs_pkey.
INSERT INTO tidelog.catalogs (version, applied_at_ms, digest, source, fields) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (version) DO NOTHING
