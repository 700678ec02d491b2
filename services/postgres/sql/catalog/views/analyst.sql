-- Whether the analysts' role may read already; no row where there is no such role. Reads the system's own tables.
SELECT has_schema_privilege(oid, 'tables', 'USAGE') AS may_read FROM pg_roles WHERE rolname = 'tidelog_analyst'
