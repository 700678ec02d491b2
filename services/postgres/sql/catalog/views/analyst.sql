-- Reads whether the analysts' role may already read the views; no row if there is no such role. Reads the system
-- catalog.
SELECT has_schema_privilege(oid, 'tables', 'USAGE') AS may_read FROM pg_roles WHERE rolname = 'tidelog_analyst'
