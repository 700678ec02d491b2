-- Writes folded records that are not stored yet, each once, as rows of COPY. Relies on records_pkey, which refuses what is
-- stored.
COPY tidelog.records (workspace, table_set, table_name, scope, record, version, touched, updated_at_ms, deleted,
    open_conflicts, fields, state) FROM STDIN (FORMAT binary)
