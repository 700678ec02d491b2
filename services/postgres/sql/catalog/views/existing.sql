-- Reads the existing views of the catalog's tables, each with its comment. Reads the system catalog.
SELECT c.relname::text AS table_name, coalesce(obj_description(c.oid, 'pg_class'), '') AS comment
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'tables' AND c.relkind = 'v'
ORDER BY c.relname
