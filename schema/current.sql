-- Tidelog's schema as it is now, for reading. Databases are made by schema/migrations;
-- services/postgres/tests/schema.rs checks that their sum equals this file.
--
-- Every key starts with the workspace, so that each table can be distributed by it (Citus) without a change. The
-- exceptions are catalogs and admin_tokens: they belong to the whole server and are small enough to be reference
-- tables. There are no sequences, triggers or extensions. Times are in milliseconds since 1970; the names of their
-- columns end in _ms. The server runs as the role tidelog_service.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tidelog_service') THEN
        CREATE ROLE tidelog_service LOGIN;
    END IF;
    -- A superuser may set any role. Any other login needs a grant, even the login that created the role (Postgres 16
    -- and newer).
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        BEGIN
            EXECUTE format('GRANT tidelog_service TO %I', current_user);
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'not allowed to grant tidelog_service to %: somebody else has to', current_user;
        END;
    END IF;
END
$$;

CREATE SCHEMA IF NOT EXISTS tidelog;
GRANT USAGE ON SCHEMA tidelog TO tidelog_service;

CREATE TABLE tidelog.workspaces (
    workspace uuid PRIMARY KEY,
    created_at_ms bigint NOT NULL,
    name text NOT NULL,
    generations bigint NOT NULL DEFAULT 1
);
COMMENT ON TABLE tidelog.workspaces IS 'The tenants. Each has one totally ordered log';
COMMENT ON COLUMN tidelog.workspaces.generations IS 'The number of the newest generation of its records; the next rebuild takes the number after it';

CREATE TABLE tidelog.catalogs (
    version bigint PRIMARY KEY,
    applied_at_ms bigint NOT NULL,
    digest bigint NOT NULL,
    source text NOT NULL,
    fields bytea NOT NULL
);
COMMENT ON TABLE tidelog.catalogs IS 'Every catalog that was ever applied. The one with the highest version is in force';
COMMENT ON COLUMN tidelog.catalogs.source IS 'The TOML file that was applied';
COMMENT ON COLUMN tidelog.catalogs.fields IS 'The fields of its _catalog events, as MessagePack';
COMMENT ON COLUMN tidelog.catalogs.digest IS 'The digest of its _catalog events';

CREATE TABLE tidelog.devices (
    workspace uuid NOT NULL,
    device uuid NOT NULL,
    registered_at_ms bigint NOT NULL,
    revoked_at_ms bigint,
    replaces uuid,
    enrolled_by uuid,
    name text NOT NULL,
    platform text,
    role text NOT NULL,
    scopes text[] NOT NULL,
    token_sha256 bytea NOT NULL,
    nonce text,
    previous_token_sha256 bytea,
    previous_until_ms bigint,
    replaces_through bigint,
    event_position bigint NOT NULL DEFAULT 0,
    access_position bigint NOT NULL DEFAULT 0,
    event_digest bigint,
    event_fields bytea,
    PRIMARY KEY (workspace, device)
);
-- Finds the device that a key registered with a nonce.
CREATE INDEX devices_nonce ON tidelog.devices (workspace, enrolled_by, nonce) WHERE nonce IS NOT NULL;
COMMENT ON TABLE tidelog.devices IS 'The devices: each is one replica of an app. What a device reports about itself is in device_presence';
COMMENT ON COLUMN tidelog.devices.scopes IS 'The scopes that the device may use beside the empty one; {*} means all';
COMMENT ON COLUMN tidelog.devices.nonce IS 'What the client made up to name the registration, so that it may repeat it; null if it gave none';
COMMENT ON COLUMN tidelog.devices.previous_token_sha256 IS 'The token before the present one, as long as the present one was not used; null if there is none';
COMMENT ON COLUMN tidelog.devices.previous_until_ms IS 'Until when the token before the present one is valid';
COMMENT ON COLUMN tidelog.devices.replaces IS 'The device whose ops the device made under its old name; null if it replaces none';
COMMENT ON COLUMN tidelog.devices.replaces_through IS 'The last seq of these ops; null if it replaces no device';
COMMENT ON COLUMN tidelog.devices.event_position IS 'The position of the _devices event of its registration; 0 before its first append';
COMMENT ON COLUMN tidelog.devices.access_position IS 'The position of the last _devices event that changed its role or scopes; 0 if none did';
COMMENT ON COLUMN tidelog.devices.event_fields IS 'The fields of the _devices event that its next append puts into the log first; null if the log has the event, or if the device is of a server from before these events';
COMMENT ON COLUMN tidelog.devices.event_digest IS 'The digest of that event';

CREATE TABLE tidelog.enrollment_keys (
    workspace uuid NOT NULL,
    enrollment_key uuid NOT NULL,
    created_at_ms bigint NOT NULL,
    expires_at_ms bigint,
    revoked_at_ms bigint,
    hour_started_at_ms bigint NOT NULL DEFAULT 0,
    registrations_this_hour integer NOT NULL DEFAULT 0,
    registrations_per_hour integer,
    registrations integer NOT NULL DEFAULT 0,
    registrations_max integer,
    role text NOT NULL,
    scopes text[] NOT NULL,
    token_sha256 bytea NOT NULL,
    PRIMARY KEY (workspace, enrollment_key)
);
COMMENT ON TABLE tidelog.enrollment_keys IS 'Credentials that register devices of one role. A limit that is null does not apply';

CREATE TABLE tidelog.analyst_tokens (
    workspace uuid NOT NULL,
    analyst_token uuid NOT NULL,
    created_at_ms bigint NOT NULL,
    revoked_at_ms bigint,
    token_sha256 bytea NOT NULL,
    PRIMARY KEY (workspace, analyst_token)
);
COMMENT ON TABLE tidelog.analyst_tokens IS 'Credentials that read one workspace and write nothing';

CREATE TABLE tidelog.admin_tokens (
    admin_token uuid PRIMARY KEY,
    created_at_ms bigint NOT NULL,
    revoked_at_ms bigint,
    token_sha256 bytea NOT NULL
);
COMMENT ON TABLE tidelog.admin_tokens IS 'Credentials of the admin listener';

-- Fixed-width columns first and none nullable, so that a row is as narrow as its content (docs/adr/0013).
CREATE TABLE tidelog.log (
    workspace uuid NOT NULL,
    device uuid NOT NULL,
    position bigint NOT NULL,
    seq bigint NOT NULL,
    base bigint NOT NULL,
    at_ms bigint NOT NULL,
    received_at_ms bigint NOT NULL,
    digest bigint NOT NULL,
    batch_offset smallint NOT NULL,
    kind smallint NOT NULL,
    table_name text NOT NULL,
    record text NOT NULL,
    scope text NOT NULL,
    role text NOT NULL,
    actor text NOT NULL,
    conflict text NOT NULL,
    rejected text NOT NULL,
    fields bytea NOT NULL,
    PRIMARY KEY (workspace, device, seq),
    UNIQUE (workspace, position)
);
-- Finds the _catalog events, which are few among the events of the system device. It is ordered by seq within the
-- workspace, as no other index is, so that a plan made while the table was empty cannot choose another one.
CREATE INDEX log_catalogs ON tidelog.log (workspace, seq) WHERE table_name = '_catalog';
-- Finds the rejected events of a device, which are few beside those that took effect.
CREATE INDEX log_rejected ON tidelog.log (workspace, device, seq) WHERE rejected <> '';
COMMENT ON TABLE tidelog.log IS 'The events. The primary key enforces LOG-1; the service can only select and insert, as LOG-3 requires';
COMMENT ON COLUMN tidelog.log.batch_offset IS 'The position of the event minus the position of the first event of its batch';
COMMENT ON COLUMN tidelog.log.base IS 'The position up to which the device had taken in everything when it made the op';
COMMENT ON COLUMN tidelog.log.digest IS 'The XXH3-64 of the content, computed at append';
COMMENT ON COLUMN tidelog.log.kind IS '1 put, 2 delete, 3 resolve';
COMMENT ON COLUMN tidelog.log.conflict IS 'The id of the conflict that a resolve settles; empty for a put or delete';
COMMENT ON COLUMN tidelog.log.rejected IS 'The code of a rejected event, which has no effect; empty if the event was not rejected';
COMMENT ON COLUMN tidelog.log.fields IS 'The fields of a put or resolve as MessagePack; empty if there are none, or if they were too large to keep';

-- Every push locks its workspace's row and almost none updates it. The head of a log is read from the right edge of the
-- log's key, which stays fast however old the oldest snapshot of the database is (docs/adr/0014).
CREATE TABLE tidelog.heads (
    workspace uuid PRIMARY KEY,
    catalog_version bigint NOT NULL DEFAULT 0,
    access_position bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 40);
COMMENT ON TABLE tidelog.heads IS 'One row per log. Its lock puts the appends to the log in order';
COMMENT ON COLUMN tidelog.heads.catalog_version IS 'The version of the last _catalog event in the log; 0 if there is none';
COMMENT ON COLUMN tidelog.heads.access_position IS 'The position of the last _devices event in the log that changed the role or scopes of a device; 0 if there is none';

CREATE TABLE tidelog.device_presence (
    workspace uuid NOT NULL,
    device uuid NOT NULL,
    acknowledged bigint NOT NULL,
    last_seen_at_ms bigint NOT NULL,
    app text,
    PRIMARY KEY (workspace, device)
) WITH (fillfactor = 60);
COMMENT ON TABLE tidelog.device_presence IS 'What devices report about themselves. Written with a delay of some seconds';

CREATE TABLE tidelog.checkpoints (
    workspace uuid NOT NULL,
    position bigint NOT NULL DEFAULT 0,
    catalog_position bigint NOT NULL DEFAULT 0,
    generation bigint NOT NULL,
    refold_position bigint NOT NULL DEFAULT 0,
    verified_at_ms bigint NOT NULL DEFAULT 0,
    table_set smallint NOT NULL,
    live boolean NOT NULL,
    folded_position bigint NOT NULL DEFAULT 0,
    state_form smallint NOT NULL DEFAULT 3,
    PRIMARY KEY (workspace, table_set),
    -- A server from before migration 0006 folds states of form 3 and moves position alone, so the check refuses its step
    -- on a generation of a later form.
    CONSTRAINT checkpoints_state_form CHECK (state_form = 3 OR folded_position = position)
) WITH (fillfactor = 40);
COMMENT ON TABLE tidelog.checkpoints IS 'How far each log is folded into each table set. One set of a workspace is live; the other one is being rebuilt, or holds the generation before';
COMMENT ON COLUMN tidelog.checkpoints.catalog_position IS 'The position of the _catalog event in force at the checkpoint';
COMMENT ON COLUMN tidelog.checkpoints.generation IS 'The number of this generation of the records. Each rebuild makes a new generation';
COMMENT ON COLUMN tidelog.checkpoints.refold_position IS 'The position of the _catalog event whose rules this generation applies to all events; 0 if each event is folded by the rules in force at its own position';
COMMENT ON COLUMN tidelog.checkpoints.state_form IS 'The form in which records.state is stored in this generation, and with it the rules of the fold';
COMMENT ON COLUMN tidelog.checkpoints.folded_position IS 'The same as position, moved only by servers that know state_form';
COMMENT ON COLUMN tidelog.checkpoints.verified_at_ms IS 'When tidelog verify last found the records to be right; 0 if it never did';

-- The tables that the projector fills exist twice, as two table sets. A rebuild fills one set while the other one is
-- read, and an old generation is removed without a mass delete (docs/adr/0018).
CREATE TABLE tidelog.records (
    workspace uuid NOT NULL,
    version bigint NOT NULL,
    touched bigint NOT NULL,
    updated_at_ms bigint NOT NULL,
    open_conflicts integer NOT NULL,
    table_set smallint NOT NULL,
    deleted boolean NOT NULL,
    table_name text NOT NULL,
    scope text NOT NULL,
    record text NOT NULL,
    fields bytea NOT NULL,
    state bytea NOT NULL,
    PRIMARY KEY (workspace, table_set, table_name, scope, record)
) PARTITION BY LIST (table_set);
CREATE TABLE tidelog.records_0 PARTITION OF tidelog.records FOR VALUES IN (0) WITH (fillfactor = 80);
CREATE TABLE tidelog.records_1 PARTITION OF tidelog.records FOR VALUES IN (1) WITH (fillfactor = 80);
CREATE INDEX records_version ON tidelog.records (workspace, table_set, version);
CREATE INDEX records_touched ON tidelog.records (workspace, table_set, touched) WHERE touched > version;
CREATE INDEX records_open_conflicts ON tidelog.records (workspace, table_set) WHERE open_conflicts > 0;
COMMENT ON TABLE tidelog.records IS 'The records: the fold of the log up to the checkpoint (FOLD-1)';
COMMENT ON COLUMN tidelog.records.state IS 'What folding further events needs: contributors, deletes, what a tombstone keeps, conflicts, the newest events';

CREATE TABLE tidelog.record_events (
    workspace uuid NOT NULL,
    table_set smallint NOT NULL,
    block integer NOT NULL,
    table_name text NOT NULL,
    scope text NOT NULL,
    record text NOT NULL,
    positions bigint[] NOT NULL,
    PRIMARY KEY (workspace, table_set, table_name, scope, record, block)
) PARTITION BY LIST (table_set);
CREATE TABLE tidelog.record_events_0 PARTITION OF tidelog.record_events FOR VALUES IN (0);
CREATE TABLE tidelog.record_events_1 PARTITION OF tidelog.record_events FOR VALUES IN (1);
COMMENT ON TABLE tidelog.record_events IS 'The positions of the events of each record, 64 per block. Those of its newest events are in records.state';

CREATE TABLE tidelog.verdicts (
    workspace uuid NOT NULL,
    position bigint NOT NULL,
    table_set smallint NOT NULL,
    verdict text NOT NULL,
    PRIMARY KEY (workspace, table_set, position)
) PARTITION BY LIST (table_set);
CREATE TABLE tidelog.verdicts_0 PARTITION OF tidelog.verdicts FOR VALUES IN (0);
CREATE TABLE tidelog.verdicts_1 PARTITION OF tidelog.verdicts FOR VALUES IN (1);
COMMENT ON TABLE tidelog.verdicts IS 'The verdicts of folded events, except the verdict applied';

CREATE TABLE tidelog.conflicts (
    workspace uuid NOT NULL,
    position bigint NOT NULL,
    winner_position bigint NOT NULL,
    loser_position bigint NOT NULL,
    closed_position bigint NOT NULL,
    table_set smallint NOT NULL,
    winner_deleted boolean NOT NULL,
    loser_deleted boolean NOT NULL,
    status text NOT NULL,
    rule text NOT NULL,
    table_name text NOT NULL,
    scope text NOT NULL,
    record text NOT NULL,
    field text NOT NULL,
    winner_value bytea,
    loser_value bytea,
    beaten_by_position bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (workspace, table_set, position, field)
) PARTITION BY LIST (table_set);
CREATE TABLE tidelog.conflicts_0 PARTITION OF tidelog.conflicts FOR VALUES IN (0);
CREATE TABLE tidelog.conflicts_1 PARTITION OF tidelog.conflicts FOR VALUES IN (1);
CREATE INDEX conflicts_record ON tidelog.conflicts (workspace, table_set, table_name, scope, record, position, field);
CREATE INDEX conflicts_changed ON tidelog.conflicts
    (workspace, table_set, (greatest(position, closed_position)), position, field);
CREATE INDEX conflicts_open ON tidelog.conflicts (workspace, table_set, position, field) WHERE status = 'open';
COMMENT ON TABLE tidelog.conflicts IS 'The conflicts: a row for every value that lost (RULE-1)';
COMMENT ON COLUMN tidelog.conflicts.position IS 'The position of the later one of its two events. The id of a conflict is <position>.<field>';
COMMENT ON COLUMN tidelog.conflicts.winner_position IS 'The event that won; 0 if no event opposed the loser';
COMMENT ON COLUMN tidelog.conflicts.beaten_by_position IS 'The event that beat the op, if the op lost as a whole under granularity record; 0 if not';
COMMENT ON COLUMN tidelog.conflicts.closed_position IS 'The event that resolved or overtook the conflict; 0 if none did';
COMMENT ON COLUMN tidelog.conflicts.status IS 'open, resolved, overtaken or automatic';
COMMENT ON COLUMN tidelog.conflicts.field IS 'The field; empty if a delete lost';
COMMENT ON COLUMN tidelog.conflicts.winner_value IS 'As MessagePack; null if the winner is a delete, or has no value for the field';

CREATE TABLE tidelog.digests (
    workspace uuid NOT NULL,
    records bigint NOT NULL,
    high bigint NOT NULL,
    low bigint NOT NULL,
    table_set smallint NOT NULL,
    table_name text NOT NULL,
    scope text NOT NULL,
    PRIMARY KEY (workspace, table_set, table_name, scope)
) PARTITION BY LIST (table_set);
CREATE TABLE tidelog.digests_0 PARTITION OF tidelog.digests FOR VALUES IN (0) WITH (fillfactor = 60);
CREATE TABLE tidelog.digests_1 PARTITION OF tidelog.digests FOR VALUES IN (1) WITH (fillfactor = 60);
COMMENT ON TABLE tidelog.digests IS 'A 128-bit digest of the live records of each table and scope, for replicas to compare with their own';
COMMENT ON COLUMN tidelog.digests.records IS 'The number of live records';
COMMENT ON COLUMN tidelog.digests.high IS 'The upper 64 bits of the exclusive or of the hashes of the records; low has the lower 64 bits';
COMMENT ON COLUMN tidelog.digests.scope IS 'The scope; * for all scopes of the table together, since no scope has that name';

-- Large fields are compressed with lz4, which saves as much as the default compression in half the time
-- (docs/adr/0013). The default stays if Postgres was built without lz4.
DO $$
BEGIN
    ALTER TABLE tidelog.log ALTER COLUMN fields SET COMPRESSION lz4;
    ALTER TABLE tidelog.records_0 ALTER COLUMN fields SET COMPRESSION lz4, ALTER COLUMN state SET COMPRESSION lz4;
    ALTER TABLE tidelog.records_1 ALTER COLUMN fields SET COMPRESSION lz4, ALTER COLUMN state SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    NULL;
END
$$;

-- The rows that tidelog.append takes: each pushed batch is a row of p_batches, and its ops are rows of p_ops in seq
-- order. The batches are in the order of their workspaces' ids, and no device has two (docs/adr/0025).
CREATE TYPE tidelog.append_batch AS (
    workspace uuid,
    device uuid,
    role text,
    first_seq bigint,
    op_count bigint,
    first_op integer,
    ops_before bigint,
    base_max bigint,
    cursor_position bigint,
    cursor_check bigint
);
COMMENT ON TYPE tidelog.append_batch IS 'A batch for tidelog.append';
COMMENT ON COLUMN tidelog.append_batch.role IS 'The role of the device, stored with each event';
COMMENT ON COLUMN tidelog.append_batch.first_seq IS 'The seq of the first op; those of the others follow without a gap';
COMMENT ON COLUMN tidelog.append_batch.op_count IS 'The number of ops';
COMMENT ON COLUMN tidelog.append_batch.first_op IS 'The index of the first op in p_ops, from 1';
COMMENT ON COLUMN tidelog.append_batch.ops_before IS 'The number of ops in the batches of the same workspace before this one';
COMMENT ON COLUMN tidelog.append_batch.base_max IS 'The highest base of the ops';
COMMENT ON COLUMN tidelog.append_batch.cursor_position IS 'The position of the cursor that the device sent; null without a cursor';
COMMENT ON COLUMN tidelog.append_batch.cursor_check IS 'The check of that cursor: the digest of the event at its position, combined with received_at_ms by an exclusive or';

CREATE TYPE tidelog.append_op AS (
    batch integer,
    seq bigint,
    base bigint,
    at_ms bigint,
    digest bigint,
    kind smallint,
    table_name text,
    record text,
    scope text,
    actor text,
    conflict text,
    rejected text,
    fields bytea
);
COMMENT ON TYPE tidelog.append_op IS 'An op for tidelog.append. What is not described here is stored as it is, in the column of tidelog.log with the same name';
COMMENT ON COLUMN tidelog.append_op.batch IS 'The index of its batch in p_batches, from 1';
COMMENT ON COLUMN tidelog.append_op.at_ms IS 'When the device made the op; null means when the server stores it';

-- Appends a group of batches in one transaction, and returns a row for each batch, in their order. Every expected
-- outcome is a status (append_slow lists them), never an error, and a refused batch leaves the others alone.
--
-- LOG-3: the first statement locks the head rows, in the order of the workspaces' ids, until the commit. So positions
-- are dense and in commit order, and two groups cannot deadlock. Each later statement sees everything
-- that was committed under the same locks before.
--
-- LOG-1: an op whose seq is stored already is not stored again. Its first position is returned.
--
-- This function handles the usual group: each batch continues exactly what its device has stored, and passes every
-- check. Any other group goes to append_slow as a whole, before anything is stored.
CREATE FUNCTION tidelog.append(
    p_now_ms bigint,
    p_catalog_version bigint,
    p_batches tidelog.append_batch[],
    p_ops tidelog.append_op[]
) RETURNS TABLE (
    status text,
    last_seq bigint, -- the last stored seq of the device
    head bigint, -- the last position of the workspace, after this batch and before the ones that follow
    shift bigint, -- an op that this call stored is at position seq + shift
    stored_seqs bigint[], -- the ops of the batch that were stored before: their seqs, positions and reject codes
    stored_positions bigint[],
    stored_rejected text[]
)
LANGUAGE plpgsql
AS $$
DECLARE
    -- whether every log has the catalog that the ops were judged by
    v_is_current boolean;
    -- whether nothing is out of the ordinary in any batch
    v_is_plain boolean;
    -- one element per batch
    v_workspaces uuid[];
    v_devices uuid[];
    v_roles text[];
    v_first_seqs bigint[];
    v_shifts bigint[];
    v_received_ats_ms bigint[];
BEGIN
    SELECT bool_and(locked.catalog_version = p_catalog_version) INTO v_is_current FROM (
        SELECT h.catalog_version FROM tidelog.heads h
        WHERE h.workspace = ANY (ARRAY(SELECT b.workspace FROM unnest(p_batches) AS b))
        ORDER BY h.workspace FOR UPDATE
    ) AS locked;

    -- Each subquery asks for rows in the order of one key, so that it is a probe of that key whatever the planner
    -- believes of the tables. OFFSET 0 keeps the planner from evaluating a column twice.
    IF v_is_current THEN
        SELECT bool_and(f.is_plain), array_agg(f.workspace), array_agg(f.device), array_agg(f.role),
            array_agg(f.first_seq), array_agg(f.head + f.ops_before - f.first_seq + 1),
            array_agg(greatest(p_now_ms, f.received_at_ms))
        INTO v_is_plain, v_workspaces, v_devices, v_roles, v_first_seqs, v_shifts, v_received_ats_ms
        FROM (
            SELECT b.workspace, b.device, b.role, b.first_seq, b.ops_before, edge.position AS head, edge.received_at_ms,
                -- Null means that something is missing, so the batch is not plain; bool_and() alone would ignore it.
                coalesce(p_catalog_version = (SELECT max(c.version) FROM tidelog.catalogs c)
                AND b.op_count > 0
                AND (b.device = '00000000-0000-0000-0000-000000000000' OR (
                    SELECT d.revoked_at_ms IS NULL AND d.event_fields IS NULL FROM tidelog.devices d
                    WHERE d.workspace = b.workspace AND d.device = b.device))
                AND b.first_seq - 1 = coalesce((SELECT l.seq FROM tidelog.log l
                    WHERE l.workspace = b.workspace AND l.device = b.device AND l.seq >= b.first_seq - 1
                    ORDER BY l.seq DESC LIMIT 1), 0)
                AND CASE WHEN b.cursor_position IS NULL THEN b.base_max <= edge.position
                    ELSE b.cursor_position = 0 OR b.cursor_check = (
                        SELECT l.digest # l.received_at_ms FROM tidelog.log l
                        WHERE l.workspace = b.workspace AND l.position BETWEEN b.cursor_position AND b.cursor_position
                        ORDER BY l.position LIMIT 1)
                END, false) AS is_plain
            FROM unnest(p_batches) AS b
            LEFT JOIN LATERAL (
                SELECT l.position, l.received_at_ms FROM tidelog.log l WHERE l.workspace = b.workspace
                ORDER BY l.position DESC LIMIT 1
            ) AS edge ON true
            OFFSET 0
        ) AS f;
    END IF;
    IF v_is_plain THEN
        INSERT INTO tidelog.log (workspace, device, position, seq, base, at_ms, received_at_ms, digest, batch_offset,
                kind, table_name, record, scope, role, actor, conflict, rejected, fields)
            SELECT v_workspaces[o.batch], v_devices[o.batch], o.seq + v_shifts[o.batch], o.seq, o.base,
                coalesce(o.at_ms, v_received_ats_ms[o.batch]), v_received_ats_ms[o.batch], o.digest,
                (o.seq - v_first_seqs[o.batch])::smallint, o.kind, o.table_name, o.record, o.scope, v_roles[o.batch],
                o.actor, o.conflict, o.rejected, o.fields
            FROM unnest(p_ops) AS o;
        RETURN QUERY SELECT 'appended', b.first_seq + b.op_count - 1,
                b.first_seq + b.op_count - 1 + v_shifts[b.ordinality], v_shifts[b.ordinality],
                NULL::bigint[], NULL::bigint[], NULL::text[]
            FROM unnest(p_batches) WITH ORDINALITY AS b;
        RETURN;
    END IF;
    RETURN QUERY SELECT * FROM tidelog.append_slow(p_now_ms, p_catalog_version, p_batches, p_ops);
END
$$;
COMMENT ON FUNCTION tidelog.append(bigint, bigint, tidelog.append_batch[], tidelog.append_op[]) IS 'Appends a group of batches to their logs';

-- tidelog.append for a group in which anything is unusual: the first events of a log, a new catalog, the first ops of a
-- device, repeated ops, a batch to refuse. The status of a batch is the first of these that holds; only appended stores anything.
--   catalog_stale    another catalog is in force than the ops were judged by (true of all batches)
--   unregistered     the workspace has no such device; the system device belongs to every workspace
--   revoked          the device may no longer push
--   cursor_ahead     the cursor is past the head
--   cursor_diverged  the event at the cursor has another check
--   seq_gap          ops before the batch are missing; for the system device also the _catalog event (append_catalog),
--                    or the _devices event of a device in the group
--   seq_differs      a stored op has another digest than the one that was sent with its seq
--   base_ahead       an op's base is past the head
--   appended         every op is in the log, from this call or an earlier one
-- Locks: the caller, tidelog.append, holds the head rows of all workspaces. A head row is updated if its log gets a
-- _catalog event, the row of a device if the log gets its _devices event; no other row is locked.
CREATE FUNCTION tidelog.append_slow(
    p_now_ms bigint,
    p_catalog_version bigint,
    p_batches tidelog.append_batch[],
    p_ops tidelog.append_op[]
) RETURNS TABLE (
    status text,
    last_seq bigint,
    head bigint,
    shift bigint,
    stored_seqs bigint[],
    stored_positions bigint[],
    stored_rejected text[]
)
LANGUAGE plpgsql
AS $$
DECLARE
    v_system CONSTANT uuid := '00000000-0000-0000-0000-000000000000';
BEGIN
    RETURN QUERY
    -- What is stored for each batch. MATERIALIZED, so that each probe of a key is made once.
    WITH batches AS MATERIALIZED (
        SELECT b.*, coalesce(edge.position, 0) AS old_head, greatest(p_now_ms, edge.received_at_ms) AS received_at_ms,
            (SELECT max(c.version) FROM tidelog.catalogs c) AS version_in_force,
            p_catalog_version <> (
                SELECT h.catalog_version FROM tidelog.heads h WHERE h.workspace = b.workspace
            ) AS lacks_catalog,
            CASE WHEN b.device = v_system THEN false ELSE registered.is_revoked END AS is_revoked,
            registered.event_fields IS NOT NULL AS lacks_event, registered.event_fields, registered.event_digest,
            registered.replaces, registered.replaces_through, registered.device_role, registered.device_scopes,
            -- The first probe reads one entry if the batch continues what is stored, which is the usual case.
            coalesce(
                (SELECT l.seq FROM tidelog.log l
                    WHERE l.workspace = b.workspace AND l.device = b.device AND l.seq >= b.first_seq - 1
                    ORDER BY l.seq DESC LIMIT 1),
                (SELECT l.seq FROM tidelog.log l WHERE l.workspace = b.workspace AND l.device = b.device
                    ORDER BY l.seq DESC LIMIT 1),
                0) AS stored_seq
        FROM unnest(p_batches) WITH ORDINALITY AS b
        LEFT JOIN LATERAL (
            SELECT l.position, l.received_at_ms FROM tidelog.log l WHERE l.workspace = b.workspace
            ORDER BY l.position DESC LIMIT 1
        ) AS edge ON true
        LEFT JOIN LATERAL (
            SELECT d.revoked_at_ms IS NOT NULL AS is_revoked, d.event_fields, d.event_digest, d.replaces,
                d.replaces_through, d.role AS device_role, d.scopes AS device_scopes
            FROM tidelog.devices d WHERE d.workspace = b.workspace AND d.device = b.device
        ) AS registered ON true
    ),
    judged AS MATERIALIZED (
        SELECT b.*, CASE
            WHEN b.version_in_force IS DISTINCT FROM p_catalog_version THEN 'catalog_stale'
            WHEN b.is_revoked IS NULL THEN 'unregistered'
            WHEN b.is_revoked THEN 'revoked'
            WHEN b.cursor_position > b.old_head THEN 'cursor_ahead'
            WHEN b.cursor_position > 0 AND b.cursor_check IS DISTINCT FROM (
                SELECT l.digest # l.received_at_ms FROM tidelog.log l
                WHERE l.workspace = b.workspace AND l.position BETWEEN b.cursor_position AND b.cursor_position
                ORDER BY l.position LIMIT 1
            ) THEN 'cursor_diverged'
            WHEN b.first_seq > b.stored_seq + 1 THEN 'seq_gap'
            -- A _catalog or _devices event would take the seq that the op was given.
            WHEN b.device = v_system AND (b.lacks_catalog OR bool_or(b.lacks_event) OVER (PARTITION BY b.workspace))
                THEN 'seq_gap'
            WHEN b.op_count > 0 AND b.first_seq <= b.stored_seq AND (
                SELECT true FROM tidelog.log l
                WHERE l.workspace = b.workspace AND l.device = b.device
                    AND l.seq BETWEEN b.first_seq AND least(b.stored_seq, b.first_seq + b.op_count - 1)
                    AND l.digest <> (p_ops[b.first_op + (l.seq - b.first_seq)::integer]).digest
                ORDER BY l.seq LIMIT 1
            ) THEN 'seq_differs'
            WHEN b.cursor_position IS NULL AND b.base_max > b.old_head THEN 'base_ahead'
            ELSE 'appended'
        END AS status
        FROM batches b
    ),
    -- How many ops of each batch are new: those after stored_seq.
    counted AS (
        SELECT j.*, CASE WHEN j.status = 'appended' AND j.op_count > 0
            THEN greatest(0, j.first_seq + j.op_count - 1 - j.stored_seq)::integer ELSE 0 END AS new_count
        FROM judged j
    ),
    -- Where the new ops go: new_so_far counts those of the workspace up to this batch, and the last of them is at
    -- last_position. A log that lacks the catalog gets its _catalog event before its first new op. If the log does not
    -- say who a device is, the _devices event goes before the device's first new op; events_so_far counts these.
    placed AS MATERIALIZED (
        SELECT c.*, c.lacks_event AND c.new_count > 0 AS gets_event, sum(c.new_count) OVER so_far AS new_so_far,
            sum((c.lacks_event AND c.new_count > 0)::integer) OVER so_far AS events_so_far,
            c.old_head + c.lacks_catalog::integer
                + sum(c.new_count + (c.lacks_event AND c.new_count > 0)::integer) OVER so_far AS last_position
        FROM counted c
        WINDOW so_far AS (PARTITION BY c.workspace ORDER BY c.ordinality)
    ),
    catalog_batches AS MATERIALIZED (
        SELECT p.* FROM placed p WHERE p.lacks_catalog AND p.new_count > 0 AND p.new_so_far = p.new_count
    ),
    catalog_events AS (
        INSERT INTO tidelog.log (workspace, device, position, seq, base, at_ms, received_at_ms, digest, batch_offset,
                kind, table_name, record, scope, role, actor, conflict, rejected, fields)
            SELECT p.workspace, v_system, p.old_head + 1,
                1 + coalesce((SELECT l.seq FROM tidelog.log l WHERE l.workspace = p.workspace
                    AND l.device = v_system ORDER BY l.seq DESC LIMIT 1), 0),
                p.old_head, p.received_at_ms, p.received_at_ms, c.digest, 0,
                1, '_catalog', 'catalog', '', '', '', '', '', c.fields
            FROM catalog_batches p JOIN tidelog.catalogs c ON c.version = p_catalog_version
    ),
    catalog_versions AS (
        UPDATE tidelog.heads h SET catalog_version = p_catalog_version
            WHERE h.workspace = ANY (ARRAY(SELECT p.workspace FROM catalog_batches p))
    ),
    device_events AS (
        INSERT INTO tidelog.log (workspace, device, position, seq, base, at_ms, received_at_ms, digest, batch_offset,
                kind, table_name, record, scope, role, actor, conflict, rejected, fields)
            SELECT p.workspace, v_system, p.last_position - p.new_count,
                p.lacks_catalog::integer + p.events_so_far
                + coalesce((SELECT l.seq FROM tidelog.log l WHERE l.workspace = p.workspace
                    AND l.device = v_system ORDER BY l.seq DESC LIMIT 1), 0),
                p.last_position - p.new_count - 1, p.received_at_ms, p.received_at_ms, p.event_digest, 0,
                1, '_devices', p.device::text, '', '', '', '', '', p.event_fields
            FROM placed p WHERE p.gets_event
    ),
    device_changes AS (
        INSERT INTO tidelog.device_changes (workspace, device, position, replaces, replaces_through, role, scopes)
            SELECT p.workspace, p.device, p.last_position - p.new_count, p.replaces, p.replaces_through, p.device_role,
                p.device_scopes
            FROM placed p WHERE p.gets_event
    ),
    logged_devices AS (
        UPDATE tidelog.devices d
            SET event_position = p.last_position - p.new_count, event_fields = NULL, event_digest = NULL
            FROM placed p WHERE p.gets_event AND d.workspace = p.workspace AND d.device = p.device
    ),
    new_events AS (
        INSERT INTO tidelog.log (workspace, device, position, seq, base, at_ms, received_at_ms, digest, batch_offset,
                kind, table_name, record, scope, role, actor, conflict, rejected, fields)
            SELECT p.workspace, p.device, o.seq + p.last_position - p.stored_seq - p.new_count, o.seq, o.base,
                coalesce(o.at_ms, p.received_at_ms), p.received_at_ms, o.digest,
                (o.seq - p.stored_seq - 1)::smallint, o.kind, o.table_name, o.record, o.scope, p.role,
                o.actor, o.conflict, o.rejected, o.fields
            -- If nothing is new, as when a group is repeated, the ops are not read.
            FROM unnest(CASE WHEN EXISTS (SELECT FROM placed p WHERE p.new_count > 0) THEN p_ops END) AS o
            JOIN placed p ON p.ordinality = o.batch
            WHERE p.new_count > 0 AND o.seq > p.stored_seq
    )
    -- The inserts above are not visible here. Nor are they looked for: ops up to stored_seq were stored before.
    SELECT p.status, p.stored_seq + p.new_count, CASE WHEN p.new_so_far > 0 THEN p.last_position ELSE p.old_head END,
        p.last_position - p.stored_seq - p.new_count, stored.seqs, stored.positions, stored.rejected
    FROM placed p
    LEFT JOIN LATERAL (
        SELECT array_agg(s.seq) AS seqs, array_agg(s.position) AS positions, array_agg(s.rejected) AS rejected FROM (
            SELECT l.seq, l.position, l.rejected FROM tidelog.log l
            WHERE p.status = 'appended' AND p.op_count > 0 AND p.first_seq <= p.stored_seq
                AND l.workspace = p.workspace AND l.device = p.device
                AND l.seq BETWEEN p.first_seq AND least(p.stored_seq, p.first_seq + p.op_count - 1)
            ORDER BY l.seq
        ) AS s
    ) AS stored ON true
    ORDER BY p.ordinality;
END
$$;
COMMENT ON FUNCTION tidelog.append_slow IS 'tidelog.append for a group in which anything is unusual; called by it, under its locks';

-- The call of servers from before the arrays of rows, which run beside newer ones while those replace them. A later
-- release drops it.
CREATE FUNCTION tidelog.append(
    p_now_ms bigint,
    p_catalog_version bigint,
    p_workspaces uuid[],
    p_devices uuid[],
    p_roles text[],
    p_first_seqs bigint[],
    p_counts bigint[],
    p_first_ops integer[],
    p_befores bigint[],
    p_bases_max bigint[],
    p_cursors bigint[],
    p_checks bigint[],
    o_batches integer[],
    o_seqs bigint[],
    o_bases bigint[],
    o_ats_ms bigint[],
    o_digests bigint[],
    o_kinds smallint[],
    o_tables text[],
    o_records text[],
    o_scopes text[],
    o_actors text[],
    o_conflicts text[],
    o_rejected text[],
    o_fields bytea[]
) RETURNS TABLE (
    status text,
    last_seq bigint,
    head bigint,
    shift bigint,
    stored_seqs bigint[],
    stored_positions bigint[],
    stored_rejected text[]
)
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN QUERY SELECT * FROM tidelog.append(
        p_now_ms,
        p_catalog_version,
        ARRAY(SELECT ROW(b.*)::tidelog.append_batch FROM unnest(
            p_workspaces, p_devices, p_roles, p_first_seqs, p_counts, p_first_ops, p_befores, p_bases_max, p_cursors,
            p_checks
        ) AS b),
        ARRAY(SELECT ROW(o.*)::tidelog.append_op FROM unnest(
            o_batches, o_seqs, o_bases, o_ats_ms, o_digests, o_kinds, o_tables, o_records, o_scopes, o_actors,
            o_conflicts, o_rejected, o_fields
        ) AS o)
    );
END
$$;

-- Appends the _catalog event of the catalog in force to a log that lacks it, before the next tidelog.append does.
-- Returns the position of the event; null if the log has it already, or is empty. Locks the head row, as LOG-3
-- requires.
CREATE FUNCTION tidelog.append_catalog(p_now_ms bigint, p_workspace uuid) RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_version bigint;
    v_known bigint;
    v_head bigint;
    v_received_at_ms bigint;
BEGIN
    SELECT h.catalog_version INTO v_known FROM tidelog.heads h WHERE h.workspace = p_workspace FOR UPDATE;
    SELECT c.version INTO v_version FROM tidelog.catalogs c ORDER BY c.version DESC LIMIT 1;
    SELECT l.position, greatest(p_now_ms, l.received_at_ms) INTO v_head, v_received_at_ms FROM tidelog.log l
        WHERE l.workspace = p_workspace ORDER BY l.position DESC LIMIT 1;
    IF v_known >= v_version OR v_head IS NULL THEN
        RETURN NULL;
    END IF;
    INSERT INTO tidelog.log (workspace, device, position, seq, base, at_ms, received_at_ms, digest, batch_offset,
            kind, table_name, record, scope, role, actor, conflict, rejected, fields)
        SELECT p_workspace, '00000000-0000-0000-0000-000000000000', v_head + 1,
            1 + coalesce((SELECT l.seq FROM tidelog.log l WHERE l.workspace = p_workspace
                AND l.device = '00000000-0000-0000-0000-000000000000' ORDER BY l.seq DESC LIMIT 1), 0),
            v_head, v_received_at_ms, v_received_at_ms, c.digest, 0, 1, '_catalog', 'catalog', '', '', '', '', '', c.fields
        FROM tidelog.catalogs c WHERE c.version = v_version;
    UPDATE tidelog.heads h SET catalog_version = v_version WHERE h.workspace = p_workspace;
    RETURN v_head + 1;
END
$$;

GRANT SELECT, INSERT ON tidelog.log TO tidelog_service;
GRANT SELECT, INSERT, UPDATE ON
    tidelog.workspaces, tidelog.devices, tidelog.enrollment_keys, tidelog.analyst_tokens, tidelog.admin_tokens,
    tidelog.heads, tidelog.device_presence
    TO tidelog_service;
GRANT SELECT, INSERT ON tidelog.catalogs TO tidelog_service;
-- The tables that the projector fills can be rebuilt from the log, so the service may also delete from them.
GRANT SELECT, INSERT, UPDATE, DELETE ON
    tidelog.checkpoints, tidelog.records, tidelog.record_events, tidelog.verdicts, tidelog.conflicts,
    tidelog.digests
    TO tidelog_service;
GRANT TRUNCATE ON
    tidelog.records_0, tidelog.record_events_0, tidelog.verdicts_0, tidelog.conflicts_0, tidelog.digests_0,
    tidelog.records_1, tidelog.record_events_1, tidelog.verdicts_1, tidelog.conflicts_1, tidelog.digests_1
    TO tidelog_service;

-- What analysts read by SQL: views of the log and of the conflicts in the schema "log", and a view for each table of
-- the catalog in the schema "tables", made when a catalog is applied. They show MessagePack as jsonb. The role
-- tidelog_analyst may read these views and nothing else.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tidelog_analyst') THEN
        CREATE ROLE tidelog_analyst NOLOGIN;
    END IF;
EXCEPTION
    -- A role belongs to the whole cluster, and the migration of another database has just created it.
    WHEN duplicate_object OR unique_violation THEN
        NULL;
    WHEN insufficient_privilege THEN
        RAISE NOTICE 'not allowed to make the role tidelog_analyst: once somebody has, tidelog migrate grants it what it may read';
END
$$;

CREATE SCHEMA tables;
CREATE SCHEMA log;
COMMENT ON SCHEMA tables IS 'A view for each table of the catalog in force';
COMMENT ON SCHEMA log IS 'Readable views of the events and the conflicts';

-- Writes a float as a JSON number with a fraction: 5.0, never 5. The float is p_mantissa * 2 ^ p_exponent. It is
-- computed in two steps, both of them exact, since Postgres may report 2 ^ -1074 alone as an underflow. The function is
-- in a schema that analysts may use: a function that a view calls runs as the reader of the view, and so do the
-- functions that it calls.
CREATE FUNCTION log.float_to_json(p_mantissa bigint, p_exponent integer) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT
SET extra_float_digits = 1
AS $$
DECLARE
    v_float double precision := p_mantissa::double precision * power(2::double precision, p_exponent / 2)
        * power(2::double precision, p_exponent - p_exponent / 2);
    v_number numeric;
    v_shorter numeric;
BEGIN
    IF v_float = trunc(v_float) THEN
        v_number := v_float::text::numeric;
        -- Of the texts halfway between two floats, such as 1e23, Postgres writes none, although they read back as the
        -- even one of the two. Only large integers have such a text that is shorter than what Postgres writes.
        IF v_float BETWEEN 9007199254740992 AND 1e40 THEN
            v_shorter := round(p_mantissa * power(2::numeric, p_exponent),
                length(rtrim(v_number::text, '0')) - length(v_number::text) - 1);
            IF v_shorter::text::double precision = v_float THEN
                v_number := v_shorter;
            END IF;
        END IF;
        RETURN v_number::text || '.0';
    END IF;
    RETURN v_float::text;
END
$$;
COMMENT ON FUNCTION log.float_to_json IS 'A float as a JSON number with a fraction, in the fewest digits that read back as the same float';

-- Converts MessagePack, as the log and the records store it, to jsonb; no bytes become null. It makes one pass over the
-- bytes without recursion. The JSON text is built in pieces of some hundred tokens, since appending each token to the
-- whole text would take time in proportion to the square of its length.
CREATE FUNCTION tidelog.msgpack_to_jsonb(p_packed bytea) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT
AS $$
DECLARE
    -- A copy, so that Postgres decompresses the value once and not for every byte that is read.
    v_bytes bytea := p_packed || ''::bytea;
    v_end integer := octet_length(p_packed);
    v_at integer := 0;
    v_byte integer;
    v_length integer;
    v_bits bigint;
    -- The text to write before the next value: the opening bracket of its container or a comma, and its key.
    v_before text := '';
    v_text text := '';
    v_pieces text[];
    -- The number of values left to read in the current container, and in the containers around it.
    v_left integer := 1;
    v_is_map boolean := false;
    v_depth integer := 0;
    v_lefts integer[];
    v_are_maps boolean[];
BEGIN
    IF v_end = 0 THEN
        RETURN NULL;
    END IF;
    <<whole>>
    LOOP
        FOR v_token IN 1..200 LOOP
            v_byte := get_byte(v_bytes, v_at);
            IF v_is_map THEN
                IF v_byte BETWEEN 160 AND 191 THEN
                    v_length := v_byte & 31;
                    v_at := v_at + 1;
                ELSIF v_byte = 217 THEN
                    v_length := get_byte(v_bytes, v_at + 1);
                    v_at := v_at + 2;
                ELSIF v_byte = 218 THEN
                    v_length := get_byte(v_bytes, v_at + 1) << 8 | get_byte(v_bytes, v_at + 2);
                    v_at := v_at + 3;
                ELSIF v_byte = 219 THEN
                    v_length := ('x' || encode(substr(v_bytes, v_at + 2, 4), 'hex'))::bit(32)::integer;
                    v_at := v_at + 5;
                ELSE
                    RAISE EXCEPTION 'packed fields are damaged: no key at byte %', v_at USING ERRCODE = 'data_corrupted';
                END IF;
                v_before := v_before || to_json(convert_from(substr(v_bytes, v_at + 1, v_length), 'UTF8')) || ':';
                v_at := v_at + v_length;
                v_byte := get_byte(v_bytes, v_at);
            END IF;
            v_length := NULL;
            IF v_byte < 128 THEN
                v_text := v_text || v_before || v_byte;
                v_at := v_at + 1;
            ELSIF v_byte BETWEEN 160 AND 191 THEN
                v_length := v_byte & 31;
                v_text := v_text || v_before || to_json(convert_from(substr(v_bytes, v_at + 2, v_length), 'UTF8'));
                v_at := v_at + 1 + v_length;
            ELSIF v_byte BETWEEN 128 AND 159 OR v_byte BETWEEN 220 AND 223 THEN
                IF v_byte < 160 THEN
                    v_length := v_byte & 15;
                    v_at := v_at + 1;
                ELSIF v_byte IN (220, 222) THEN
                    v_length := get_byte(v_bytes, v_at + 1) << 8 | get_byte(v_bytes, v_at + 2);
                    v_at := v_at + 3;
                ELSE
                    v_length := ('x' || encode(substr(v_bytes, v_at + 2, 4), 'hex'))::bit(32)::integer;
                    v_at := v_at + 5;
                END IF;
                IF v_length = 0 THEN
                    v_text := v_text || v_before || CASE WHEN v_byte = 128 OR v_byte > 221 THEN '{}' ELSE '[]' END;
                ELSE
                    v_depth := v_depth + 1;
                    v_lefts[v_depth] := v_left;
                    v_are_maps[v_depth] := v_is_map;
                    v_left := v_length;
                    v_is_map := v_byte < 144 OR v_byte > 221;
                    v_before := v_before || CASE WHEN v_is_map THEN '{' ELSE '[' END;
                    CONTINUE;
                END IF;
            ELSIF v_byte = 203 THEN
                v_bits := ('x' || encode(substr(v_bytes, v_at + 2, 8), 'hex'))::bit(64)::bigint;
                v_text := v_text || v_before || CASE WHEN v_bits & 9218868437227405312 = 0 -- subnormal: no implicit leading bit
                    THEN CASE WHEN v_bits < 0 THEN '-' ELSE '' END || log.float_to_json(v_bits & 4503599627370495, -1074)
                    ELSE CASE WHEN v_bits < 0 THEN '-' ELSE '' END || log.float_to_json(
                        v_bits & 4503599627370495 | 4503599627370496, (v_bits >> 52 & 2047)::integer - 1075)
                    END;
                v_at := v_at + 9;
            ELSIF v_byte IN (192, 194, 195) THEN
                v_text := v_text || v_before || CASE v_byte WHEN 192 THEN 'null' WHEN 194 THEN 'false' WHEN 195 THEN 'true' END;
                v_at := v_at + 1;
            ELSIF v_byte >= 224 THEN
                v_text := v_text || v_before || (v_byte - 256);
                v_at := v_at + 1;
            ELSIF v_byte = 204 THEN
                v_text := v_text || v_before || get_byte(v_bytes, v_at + 1);
                v_at := v_at + 2;
            ELSIF v_byte = 205 THEN
                v_text := v_text || v_before || (get_byte(v_bytes, v_at + 1) << 8 | get_byte(v_bytes, v_at + 2));
                v_at := v_at + 3;
            ELSIF v_byte = 206 THEN
                v_text := v_text || v_before || ('x' || encode(substr(v_bytes, v_at + 2, 4), 'hex'))::bit(32)::bigint;
                v_at := v_at + 5;
            ELSIF v_byte IN (207, 211) THEN
                v_bits := ('x' || encode(substr(v_bytes, v_at + 2, 8), 'hex'))::bit(64)::bigint;
                IF v_byte = 207 AND v_bits < 0 THEN
                    RAISE EXCEPTION 'packed fields are damaged: a number past 63 bits at byte %', v_at
                        USING ERRCODE = 'data_corrupted';
                END IF;
                v_text := v_text || v_before || v_bits;
                v_at := v_at + 9;
            ELSIF v_byte = 208 THEN
                v_bits := get_byte(v_bytes, v_at + 1);
                v_text := v_text || v_before || v_bits - (v_bits >> 7 << 8);
                v_at := v_at + 2;
            ELSIF v_byte = 209 THEN
                v_bits := get_byte(v_bytes, v_at + 1) << 8 | get_byte(v_bytes, v_at + 2);
                v_text := v_text || v_before || v_bits - (v_bits >> 15 << 16);
                v_at := v_at + 3;
            ELSIF v_byte = 210 THEN
                v_text := v_text || v_before || ('x' || encode(substr(v_bytes, v_at + 2, 4), 'hex'))::bit(32)::integer;
                v_at := v_at + 5;
            ELSIF v_byte BETWEEN 217 AND 219 OR v_byte BETWEEN 196 AND 198 THEN
                IF v_byte IN (217, 196) THEN
                    v_length := get_byte(v_bytes, v_at + 1);
                    v_at := v_at + 2;
                ELSIF v_byte IN (218, 197) THEN
                    v_length := get_byte(v_bytes, v_at + 1) << 8 | get_byte(v_bytes, v_at + 2);
                    v_at := v_at + 3;
                ELSE
                    v_length := ('x' || encode(substr(v_bytes, v_at + 2, 4), 'hex'))::bit(32)::integer;
                    v_at := v_at + 5;
                END IF;
                IF v_byte >= 217 THEN
                    v_text := v_text || v_before || to_json(convert_from(substr(v_bytes, v_at + 1, v_length), 'UTF8'));
                ELSE
                    v_text := v_text || v_before || '{"$binary":"'
                        || translate(encode(substr(v_bytes, v_at + 1, v_length), 'base64'), E'\n', '') || '"}';
                END IF;
                v_at := v_at + v_length;
            ELSIF v_byte = 202 THEN
                v_bits := ('x' || encode(substr(v_bytes, v_at + 2, 4), 'hex'))::bit(32)::integer;
                v_text := v_text || v_before || CASE WHEN v_bits < 0 THEN '-' ELSE '' END || CASE WHEN v_bits & 2139095040 = 0
                    THEN log.float_to_json(v_bits & 8388607, -149)
                    ELSE log.float_to_json(v_bits & 8388607 | 8388608, (v_bits >> 23 & 255)::integer - 150) END;
                v_at := v_at + 5;
            ELSE
                RAISE EXCEPTION 'packed fields are damaged: no value at byte %', v_at USING ERRCODE = 'data_corrupted';
            END IF;
            v_left := v_left - 1;
            WHILE v_left = 0 LOOP
                EXIT whole WHEN v_depth = 0;
                v_text := v_text || CASE WHEN v_is_map THEN '}' ELSE ']' END;
                v_left := v_lefts[v_depth] - 1;
                v_is_map := v_are_maps[v_depth];
                v_depth := v_depth - 1;
            END LOOP;
            v_before := ',';
        END LOOP;
        v_pieces := v_pieces || v_text;
        v_text := '';
    END LOOP;
    IF v_at <> v_end THEN
        RAISE EXCEPTION 'packed fields are damaged: % bytes, % of them read', v_end, v_at USING ERRCODE = 'data_corrupted';
    END IF;
    IF v_pieces IS NULL THEN
        RETURN v_text::jsonb;
    END IF;
    RETURN (array_to_string(v_pieces, '') || v_text)::jsonb;
END
$$;
COMMENT ON FUNCTION tidelog.msgpack_to_jsonb IS 'Fields or a value in MessagePack as jsonb. Floats keep a fraction (5.0), binary becomes {"$binary": base64}, no bytes become null';

-- Parses a time in the format of RFC 3339, truncated to the millisecond as everywhere in Tidelog; null if the text is
-- not a time. A cast to timestamptz would accept 'yesterday', fail on other texts, and refuse offsets of 16 hours and
-- more.
CREATE FUNCTION tidelog.time_of(p_text text) RETURNS timestamptz
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT
AS $$
DECLARE
    v_parts text[] := regexp_match(p_text, '^([0-9]{4})-([0-9]{2})-([0-9]{2})[\u0001-\u007f]([0-9]{2}):([0-9]{2}):([0-9]{2})'
        '(?:\.([0-9]+))?(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))$');
    v_year integer := v_parts[1]::integer;
    v_month integer := v_parts[2]::integer;
    v_day integer := v_parts[3]::integer;
    v_second integer := v_parts[6]::integer;
    v_ms integer := rpad(left(coalesce(v_parts[7], '0'), 3), 3, '0')::integer;
    v_offset integer := coalesce((v_parts[8] || '1')::integer * (v_parts[9]::integer * 60 + v_parts[10]::integer), 0);
    -- SQL has no year 0. The year 4 takes its place, since both are leap years, and 4 years are subtracted at the end.
    v_later interval := make_interval(years => CASE WHEN v_year = 0 THEN 4 ELSE 0 END);
    v_time timestamp;
BEGIN
    IF v_year = 0 THEN
        v_year := 4;
    END IF;
    IF v_parts IS NULL OR v_month NOT BETWEEN 1 AND 12 OR v_day < 1 OR v_parts[4]::integer > 23
            OR v_parts[5]::integer > 59 OR v_second > 60 OR v_parts[9]::integer > 23 OR v_parts[10]::integer > 59 THEN
        RETURN NULL;
    END IF;
    IF v_day > 28 AND v_day > extract(day FROM make_date(v_year, v_month, 1) + interval '1 month' - interval '1 day') THEN
        RETURN NULL;
    END IF;
    v_time := make_timestamp(v_year, v_month, v_day, v_parts[4]::integer, v_parts[5]::integer, 0)
        + make_interval(mins => -v_offset) - v_later;
    -- A leap second is valid only at the end of a month. It counts as the last millisecond of the second before it.
    IF v_second = 60 THEN
        IF v_time <> date_trunc('month', v_time) + interval '1 month' - interval '1 minute' THEN
            RETURN NULL;
        END IF;
        v_second := 59;
        v_ms := 999;
    END IF;
    v_time := v_time + make_interval(secs => v_second + v_ms / 1000.0);
    IF v_time < timestamp '0001-01-01' OR v_time >= timestamp '10000-01-01' THEN
        RETURN NULL;
    END IF;
    RETURN v_time AT TIME ZONE 'UTC';
END
$$;
COMMENT ON FUNCTION tidelog.time_of IS 'A text in the format of RFC 3339 as a time, to the millisecond; null if the text is not a time';

-- Days and the rest of the last day are added apart, since a double has too few digits for the milliseconds of distant
-- years.
CREATE FUNCTION tidelog.time_of_ms(p_ms bigint) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT (timestamp '1970-01-01' + make_interval(days => (p_ms / 86400000)::integer, secs => p_ms % 86400000 / 1000.0))
        AT TIME ZONE 'UTC'
$$;
COMMENT ON FUNCTION tidelog.time_of_ms IS 'Milliseconds since 1970 as a time, without rounding';

CREATE TABLE tidelog.readmitted (
    workspace uuid NOT NULL,
    position bigint NOT NULL,
    readmitted_position bigint NOT NULL,
    readmitted_at_ms bigint NOT NULL,
    PRIMARY KEY (workspace, position)
);
COMMENT ON TABLE tidelog.readmitted IS 'The rejected events that were readmitted, each at most once';
COMMENT ON COLUMN tidelog.readmitted.position IS 'The position of the rejected event';
COMMENT ON COLUMN tidelog.readmitted.readmitted_position IS 'The position of the event of the system device that does what the rejected one was meant to do';
GRANT SELECT, INSERT ON tidelog.readmitted TO tidelog_service;

-- Finds the _devices events without reading the log.
CREATE TABLE tidelog.device_changes (
    workspace uuid NOT NULL,
    device uuid NOT NULL,
    position bigint NOT NULL,
    replaces uuid,
    replaces_through bigint,
    role text,
    scopes text[],
    PRIMARY KEY (workspace, position)
);
-- Finds what a device was allowed at a position.
CREATE INDEX device_changes_access ON tidelog.device_changes (workspace, device, position) WHERE role IS NOT NULL;
CREATE INDEX device_changes_replaces ON tidelog.device_changes (workspace, position) WHERE replaces IS NOT NULL;
COMMENT ON TABLE tidelog.device_changes IS 'The _devices events: a row for each, written in the transaction that appends it';
COMMENT ON COLUMN tidelog.device_changes.position IS 'The position of the event';
COMMENT ON COLUMN tidelog.device_changes.replaces IS 'The device whose ops the device made under its old name; null if the event names none';
COMMENT ON COLUMN tidelog.device_changes.replaces_through IS 'The last seq of these ops; null if the event names no other device';
COMMENT ON COLUMN tidelog.device_changes.role IS 'The role of the device from the event on; null if the event does not change what the device may do';
COMMENT ON COLUMN tidelog.device_changes.scopes IS 'The scopes of the device from the event on; null together with the role';
GRANT SELECT, INSERT ON tidelog.device_changes TO tidelog_service;

-- The views are security barriers: a function that a reader has written never sees a row that the view leaves out. A
-- barrier also converts the fields of a row once, however many of them a query reads.
CREATE VIEW tidelog.live_records WITH (security_barrier) AS
    SELECT r.workspace, r.table_name, r.record, r.scope, r.version, tidelog.time_of_ms(r.updated_at_ms) AS updated_at,
        tidelog.msgpack_to_jsonb(r.fields) AS fields
    FROM tidelog.checkpoints c
    JOIN tidelog.records r ON r.workspace = c.workspace AND r.table_set = c.table_set
    WHERE c.live AND NOT r.deleted;
COMMENT ON VIEW tidelog.live_records IS 'The records of the live generation that are not deleted. The views of the catalog''s tables select from it';

CREATE VIEW log.events WITH (security_barrier) AS
    SELECT l.workspace, l.position, l.device, l.seq, l.table_name AS "table", l.record, l.scope,
        CASE l.kind WHEN 1 THEN 'put' WHEN 2 THEN 'delete' WHEN 3 THEN 'resolve' END AS kind,
        tidelog.msgpack_to_jsonb(l.fields) AS fields, l.base, tidelog.time_of_ms(l.at_ms) AS at,
        tidelog.time_of_ms(l.received_at_ms) AS received_at, l.role, nullif(l.actor, '') AS actor,
        nullif(l.conflict, '') AS conflict, nullif(l.rejected, '') AS rejected, l.position - l.batch_offset AS batch
    FROM tidelog.log l;
COMMENT ON VIEW log.events IS 'Every event of every log, including the rejected ones';
COMMENT ON COLUMN log.events.workspace IS 'The workspace whose log the event is in';
COMMENT ON COLUMN log.events.position IS 'The place of the event in the log: 1, 2, 3 and so on without gaps, in the order in which the server stored the events';
COMMENT ON COLUMN log.events.device IS 'The device that made the event; the nil UUID is the server';
COMMENT ON COLUMN log.events.seq IS 'The device''s own number of the event: 1, 2, 3 and so on without gaps, in the order in which the device made its events';
COMMENT ON COLUMN log.events."table" IS 'The table of the record; _catalog if the event changes the catalog, _devices if it says who a device is';
COMMENT ON COLUMN log.events.record IS 'The id of the record within its table and scope';
COMMENT ON COLUMN log.events.scope IS 'The scope of the record; the empty scope belongs to everyone';
COMMENT ON COLUMN log.events.kind IS 'put, delete or resolve';
COMMENT ON COLUMN log.events.fields IS 'The fields that the event sets; null for a delete, and if they were too large to keep';
COMMENT ON COLUMN log.events.base IS 'The position up to which the device had taken in everything when it made the event: it did not know of later events of other devices';
COMMENT ON COLUMN log.events.at IS 'When the device made the event, by the device''s clock';
COMMENT ON COLUMN log.events.received_at IS 'When the server stored the event; never decreases within a log';
COMMENT ON COLUMN log.events.role IS 'The role of the device when it pushed; for an event of the server, the role of the caller for whom the server made it';
COMMENT ON COLUMN log.events.actor IS 'The person who used the device, if the app names one';
COMMENT ON COLUMN log.events.conflict IS 'The id of the conflict that a resolve settles';
COMMENT ON COLUMN log.events.rejected IS 'The code for which the event was rejected; null if it was not';
COMMENT ON COLUMN log.events.batch IS 'The position of the first event of the same push';

CREATE VIEW log.conflicts WITH (security_barrier) AS
    SELECT x.workspace, x.position || '.' || x.field AS conflict, x.position, x.table_name AS "table", x.record, x.scope,
        x.field, x.rule, x.status,
        nullif(x.winner_position, 0) AS winner_position, w.device AS winner_device, w.role AS winner_role,
        nullif(w.actor, '') AS winner_actor, tidelog.time_of_ms(w.at_ms) AS winner_at, x.winner_deleted,
        tidelog.msgpack_to_jsonb(x.winner_value) AS winner_value,
        x.loser_position, o.device AS loser_device, o.role AS loser_role,
        nullif(o.actor, '') AS loser_actor, tidelog.time_of_ms(o.at_ms) AS loser_at, x.loser_deleted,
        tidelog.msgpack_to_jsonb(x.loser_value) AS loser_value,
        nullif(x.closed_position, 0) AS closed_position
    FROM tidelog.checkpoints c
    JOIN tidelog.conflicts x ON x.workspace = c.workspace AND x.table_set = c.table_set
    LEFT JOIN tidelog.log w ON w.workspace = x.workspace AND w.position = x.winner_position
    LEFT JOIN tidelog.log o ON o.workspace = x.workspace AND o.position = x.loser_position
    WHERE c.live;
COMMENT ON VIEW log.conflicts IS 'The conflicts: a row for every value that lost, with what it lost to';
COMMENT ON COLUMN log.conflicts.workspace IS 'The workspace in whose log the two events are';
COMMENT ON COLUMN log.conflicts.conflict IS 'The id of the conflict: <position>.<field>';
COMMENT ON COLUMN log.conflicts.position IS 'The position of the later event, which may be the winner or the loser';
COMMENT ON COLUMN log.conflicts."table" IS 'The table of the record';
COMMENT ON COLUMN log.conflicts.record IS 'The id of the record within its table and scope';
COMMENT ON COLUMN log.conflicts.scope IS 'The scope of the record; the empty scope belongs to everyone';
COMMENT ON COLUMN log.conflicts.field IS 'The field; empty if a delete lost';
COMMENT ON COLUMN log.conflicts.rule IS 'The rule that decided';
COMMENT ON COLUMN log.conflicts.status IS 'open: a person must choose; resolved: a person chose; overtaken: a device that knew both values wrote again; automatic: a rule decided';
COMMENT ON COLUMN log.conflicts.winner_position IS 'The position of the event that won; null if no event opposed the loser';
COMMENT ON COLUMN log.conflicts.winner_device IS 'The device that made the winning event';
COMMENT ON COLUMN log.conflicts.winner_role IS 'The role of the winning event';
COMMENT ON COLUMN log.conflicts.winner_actor IS 'The person who used that device, if the app names one';
COMMENT ON COLUMN log.conflicts.winner_at IS 'When the winning event was made, by that device''s clock';
COMMENT ON COLUMN log.conflicts.winner_deleted IS 'Whether the winning event deleted the record';
COMMENT ON COLUMN log.conflicts.winner_value IS 'The value that won; null if a delete won, or an event without a value for the field';
COMMENT ON COLUMN log.conflicts.loser_position IS 'The position of the event whose value lost';
COMMENT ON COLUMN log.conflicts.loser_device IS 'The device that made the losing event';
COMMENT ON COLUMN log.conflicts.loser_role IS 'The role of the losing event';
COMMENT ON COLUMN log.conflicts.loser_actor IS 'The person who used that device, if the app names one';
COMMENT ON COLUMN log.conflicts.loser_at IS 'When the losing event was made, by that device''s clock';
COMMENT ON COLUMN log.conflicts.loser_deleted IS 'Whether the losing event was to delete the record';
COMMENT ON COLUMN log.conflicts.loser_value IS 'The value that lost; null if a delete lost';
COMMENT ON COLUMN log.conflicts.closed_position IS 'The position of the event that resolved or overtook the conflict; null if none did';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'tidelog_analyst') THEN
        GRANT USAGE ON SCHEMA tables, log TO tidelog_analyst;
        GRANT SELECT ON log.events, log.conflicts TO tidelog_analyst;
    END IF;
END
$$;
