-- Inserts records that have no row yet, each key once, as rows of COPY. Relies on records_pkey, which refuses a second
-- row.
COPY tidelog.records (workspace, table_set, table_name, scope, record, version, touched, updated_at_ms, deleted,
    open_conflicts, fields, state) FROM STDIN (FORMAT binary)
