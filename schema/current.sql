-- Tidelog's schema as it is now: the sum of schema/migrations, which is what databases are really made by. Kept equal by
-- services/postgres/tests/schema.rs; read this one.
--
-- Every key starts with the workspace, so each of these tables can be distributed by it (Citus) unchanged; catalogs and
-- admin_tokens belong to the whole server and are small enough to be reference tables. No sequence, trigger or extension.
-- Times are milliseconds since 1970 (column names end in _ms). The role tidelog_service is what the server runs as.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tidelog_service') THEN
        CREATE ROLE tidelog_service LOGIN;
    END IF;
    -- A superuser may set any role. Another login has to be granted it, the one that made it too (Postgres 16 and newer).
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
COMMENT ON TABLE tidelog.workspaces IS 'The tenants: each has one totally ordered log';
COMMENT ON COLUMN tidelog.workspaces.generations IS 'The highest number that was given to a making of its records';

CREATE TABLE tidelog.catalogs (
    version bigint PRIMARY KEY,
    applied_at_ms bigint NOT NULL,
    digest bigint NOT NULL,
    source text NOT NULL,
    fields bytea NOT NULL
);
COMMENT ON TABLE tidelog.catalogs IS 'Every catalog that was ever in force; the highest version is';
COMMENT ON COLUMN tidelog.catalogs.source IS 'The TOML it was applied from';
COMMENT ON COLUMN tidelog.catalogs.fields IS 'The fields of its _catalog event, as MessagePack';
COMMENT ON COLUMN tidelog.catalogs.digest IS 'The digest of its _catalog event';

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
    PRIMARY KEY (workspace, device)
);
COMMENT ON TABLE tidelog.devices IS 'The replicas of the apps. What they say of themselves is in device_presence';
COMMENT ON COLUMN tidelog.devices.scopes IS 'Scopes beyond the empty one; {*} is all';

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
COMMENT ON TABLE tidelog.enrollment_keys IS 'Credentials that register devices of one role; null limits do not limit';

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
-- The few of the system device's events that are looked for by what they are. By seq, which no other key is in the order
-- of, so that no plan made early takes another.
CREATE INDEX log_catalogs ON tidelog.log (workspace, seq) WHERE table_name = '_catalog';
COMMENT ON TABLE tidelog.log IS 'The events. LOG-1 by its primary key; LOG-3 since the service can only select and insert';
COMMENT ON COLUMN tidelog.log.batch_offset IS 'How far the event stands behind the first one of the same push';
COMMENT ON COLUMN tidelog.log.base IS 'The position up to which the device had taken in everything';
COMMENT ON COLUMN tidelog.log.digest IS 'XXH3-64 of the content, made at append';
COMMENT ON COLUMN tidelog.log.kind IS '1 put, 2 delete, 3 resolve';
COMMENT ON COLUMN tidelog.log.conflict IS 'The conflict that a resolve names; empty without';
COMMENT ON COLUMN tidelog.log.rejected IS 'Why the event has no effect; empty where it has';
COMMENT ON COLUMN tidelog.log.fields IS 'The fields of a put or resolve as MessagePack; empty without, and where they are not kept';

-- Locked by every push and updated by none: how far a log is shows at the right edge of its key, which no old snapshot
-- keeps from being found at once (docs/adr/0014).
CREATE TABLE tidelog.heads (
    workspace uuid PRIMARY KEY,
    catalog_version bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 40);
COMMENT ON TABLE tidelog.heads IS 'One row a log, whose lock orders the appends';
COMMENT ON COLUMN tidelog.heads.catalog_version IS 'The version of the last _catalog event';

CREATE TABLE tidelog.device_presence (
    workspace uuid NOT NULL,
    device uuid NOT NULL,
    acknowledged bigint NOT NULL,
    last_seen_at_ms bigint NOT NULL,
    app text,
    PRIMARY KEY (workspace, device)
) WITH (fillfactor = 60);
COMMENT ON TABLE tidelog.device_presence IS 'What devices said of themselves: written lazily, may lag some seconds';

CREATE TABLE tidelog.checkpoints (
    workspace uuid NOT NULL,
    position bigint NOT NULL DEFAULT 0,
    catalog_position bigint NOT NULL DEFAULT 0,
    generation bigint NOT NULL,
    refold_position bigint NOT NULL DEFAULT 0,
    verified_at_ms bigint NOT NULL DEFAULT 0,
    table_set smallint NOT NULL,
    live boolean NOT NULL,
    PRIMARY KEY (workspace, table_set)
) WITH (fillfactor = 40);
COMMENT ON TABLE tidelog.checkpoints IS 'How far each log is folded into the tables of a set. A workspace has one set that is live; the other is being rebuilt, or kept from before';
COMMENT ON COLUMN tidelog.checkpoints.catalog_position IS 'The position of the _catalog event in force at the checkpoint';
COMMENT ON COLUMN tidelog.checkpoints.generation IS 'Which making of the records this is: a rebuild makes the next one';
COMMENT ON COLUMN tidelog.checkpoints.refold_position IS 'The _catalog event whose rules this making holds from position 1 on; 0 where each event is folded by the rules of its time';
COMMENT ON COLUMN tidelog.checkpoints.verified_at_ms IS 'When tidelog verify last found everything as it should be; 0 never';

-- What the projector makes comes in two sets of tables, so that a rebuild fills one while the other is read, and an old
-- one goes without a mass delete (docs/adr/0018).
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
COMMENT ON TABLE tidelog.records IS 'FOLD-1: what the log up to the checkpoint folds to';
COMMENT ON COLUMN tidelog.records.state IS 'Contributors, deletes, what a tombstone keeps, conflicts, the newest events: what folding on needs';

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
COMMENT ON TABLE tidelog.record_events IS 'Where in the log the events of a record are, 64 a block; the newest are in its state';

CREATE TABLE tidelog.verdicts (
    workspace uuid NOT NULL,
    position bigint NOT NULL,
    table_set smallint NOT NULL,
    verdict text NOT NULL,
    PRIMARY KEY (workspace, table_set, position)
) PARTITION BY LIST (table_set);
CREATE TABLE tidelog.verdicts_0 PARTITION OF tidelog.verdicts FOR VALUES IN (0);
CREATE TABLE tidelog.verdicts_1 PARTITION OF tidelog.verdicts FOR VALUES IN (1);
COMMENT ON TABLE tidelog.verdicts IS 'The folded events that did not simply apply';

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
    PRIMARY KEY (workspace, table_set, position, field)
) PARTITION BY LIST (table_set);
CREATE TABLE tidelog.conflicts_0 PARTITION OF tidelog.conflicts FOR VALUES IN (0);
CREATE TABLE tidelog.conflicts_1 PARTITION OF tidelog.conflicts FOR VALUES IN (1);
CREATE INDEX conflicts_record ON tidelog.conflicts (workspace, table_set, table_name, scope, record, position, field);
CREATE INDEX conflicts_open ON tidelog.conflicts (workspace, table_set, position, field) WHERE status = 'open';
COMMENT ON TABLE tidelog.conflicts IS 'RULE-1: the ledger, a row for every value that lost';
COMMENT ON COLUMN tidelog.conflicts.position IS 'The op that met the conflict: one of its two events. The id of a conflict is <position>.<field>';
COMMENT ON COLUMN tidelog.conflicts.winner_position IS 'The event that stood; 0 where nothing stood against the loser';
COMMENT ON COLUMN tidelog.conflicts.closed_position IS 'The event that resolved it or overtook it; 0 where none did';
COMMENT ON COLUMN tidelog.conflicts.status IS 'open, resolved, overtaken or automatic';
COMMENT ON COLUMN tidelog.conflicts.field IS 'Empty of a delete that lost';
COMMENT ON COLUMN tidelog.conflicts.winner_value IS 'As MessagePack; null of a delete, and where nothing stood in the field';

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
COMMENT ON TABLE tidelog.digests IS 'The live records of each table and scope in 128 bits, for replicas to compare with their own';
COMMENT ON COLUMN tidelog.digests.records IS 'How many';
COMMENT ON COLUMN tidelog.digests.high IS 'The exclusive or of their hashes, with low';
COMMENT ON COLUMN tidelog.digests.scope IS '* for all scopes of the table together, which no scope is named';

-- Large fields: lz4 halves them for half the time of the default, which stays where Postgres was built without it.
DO $$
BEGIN
    ALTER TABLE tidelog.log ALTER COLUMN fields SET COMPRESSION lz4;
    ALTER TABLE tidelog.records_0 ALTER COLUMN fields SET COMPRESSION lz4, ALTER COLUMN state SET COMPRESSION lz4;
    ALTER TABLE tidelog.records_1 ALTER COLUMN fields SET COMPRESSION lz4, ALTER COLUMN state SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    NULL;
END
$$;

-- Appends waiting batches, at most one of each device, in one transaction. Those of a workspace come side by side, and
-- the workspaces ascending.
--
-- LOG-3: the lock on the head row is taken first and held to the commit, so positions are dense and in commit order.
-- LOG-1: what a device has stored already is answered with its first positions and stored no second time.
-- Nothing expected is raised: each batch gets a status, and one that is refused leaves the others alone.
--   appended       stored, or had been; the op of seq s is at s + shift for the new ones
--   unregistered   no such device in this workspace; the system device belongs to each
--   revoked        the device may no longer push
--   catalog_stale  judged under another catalog than the one in force: judge again (all batches)
--   cursor_ahead   the batch's cursor lies past head
--   cursor_diverged  the event at the batch's cursor has another check: its digest combined with received_at_ms
--   seq_gap        ops before the batch are missing; of the system device also the _catalog event (append_catalog)
--   seq_differs    a stored op has another digest than the one sent under its seq
--   base_ahead     an op's base lies past head
-- A batch's head is the last position of its workspace as far as this batch and those before it go.
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
DECLARE
    -- whether every log has the catalog in force already
    v_is_current boolean;
    -- whether every batch follows what its device has stored, and there is nothing else to say of any
    v_is_plain boolean;
    -- of each batch; its ops with a seq past v_after are stored, at seq + v_shift
    v_statuses text[];
    v_after bigint[];
    v_shifts bigint[];
    v_last_seqs bigint[];
    v_heads bigint[];
    v_batch_positions bigint[];
    v_received_ats_ms bigint[];
    -- the first batch with new ops of each log that lacks the catalog in force
    v_catalog_before integer[];
    v_has_new boolean;
BEGIN
    SELECT bool_and(locked.catalog_version = p_catalog_version) INTO v_is_current FROM (
        SELECT h.catalog_version FROM tidelog.heads h WHERE h.workspace = ANY (p_workspaces) ORDER BY h.workspace FOR UPDATE
    ) AS locked;

    -- The statements after the lock see all that was committed under it before. Subqueries in the order of a key, so that
    -- each is a probe of that key whatever a planner without statistics believes of the tables.
    IF v_is_current THEN
        SELECT bool_and(f.is_plain), array_agg(f.position), array_agg(greatest(p_now_ms, f.received_at_ms))
        INTO v_is_plain, v_heads, v_received_ats_ms
        FROM (
            SELECT edge.position, edge.received_at_ms,
                -- What is null here is not plain, and bool_and() would pass over it.
                coalesce(p_catalog_version = (SELECT max(c.version) FROM tidelog.catalogs c)
                AND p_counts[b.i] > 0
                AND (p_devices[b.i] = '00000000-0000-0000-0000-000000000000' OR (SELECT d.revoked_at_ms IS NULL FROM tidelog.devices d
                    WHERE d.workspace = p_workspaces[b.i] AND d.device = p_devices[b.i]))
                AND p_first_seqs[b.i] - 1 = coalesce((SELECT l.seq FROM tidelog.log l
                    WHERE l.workspace = p_workspaces[b.i] AND l.device = p_devices[b.i] AND l.seq >= p_first_seqs[b.i] - 1
                    ORDER BY l.seq DESC LIMIT 1), 0)
                AND CASE WHEN p_cursors[b.i] IS NULL THEN p_bases_max[b.i] <= edge.position
                    ELSE p_cursors[b.i] = 0 OR p_checks[b.i] = (SELECT l.digest # l.received_at_ms FROM tidelog.log l
                        WHERE l.workspace = p_workspaces[b.i] AND l.position BETWEEN p_cursors[b.i] AND p_cursors[b.i]
                        ORDER BY l.position LIMIT 1)
                END, false) AS is_plain
            FROM generate_subscripts(p_devices, 1) AS b (i)
            LEFT JOIN LATERAL (
                SELECT l.position, l.received_at_ms FROM tidelog.log l WHERE l.workspace = p_workspaces[b.i]
                ORDER BY l.position DESC LIMIT 1
            ) edge ON true
            OFFSET 0
        ) AS f;
    END IF;
    IF v_is_plain THEN
        INSERT INTO tidelog.log (workspace, device, position, seq, base, at_ms, received_at_ms, digest, batch_offset, kind,
                table_name, record, scope, role, actor, conflict, rejected, fields)
            SELECT p_workspaces[o.batch], p_devices[o.batch],
                v_heads[o.batch] + p_befores[o.batch] + o.seq - p_first_seqs[o.batch] + 1, o.seq, o.base,
                coalesce(o.at_ms, v_received_ats_ms[o.batch]), v_received_ats_ms[o.batch], o.digest,
                (o.seq - p_first_seqs[o.batch])::smallint, o.kind,
                o.table_name, o.record, o.scope, p_roles[o.batch], o.actor, o.conflict, o.rejected, o.fields
            FROM (
                SELECT unnest(o_batches) AS batch, unnest(o_seqs) AS seq, unnest(o_bases) AS base, unnest(o_ats_ms) AS at_ms,
                    unnest(o_digests) AS digest, unnest(o_kinds) AS kind, unnest(o_tables) AS table_name,
                    unnest(o_records) AS record, unnest(o_scopes) AS scope, unnest(o_actors) AS actor,
                    unnest(o_conflicts) AS conflict, unnest(o_rejected) AS rejected, unnest(o_fields) AS fields
            ) AS o;
        RETURN QUERY SELECT 'appended', p_first_seqs[b.i] + p_counts[b.i] - 1, v_heads[b.i] + p_befores[b.i] + p_counts[b.i],
                v_heads[b.i] + p_befores[b.i] - p_first_seqs[b.i] + 1, NULL::bigint[], NULL::bigint[], NULL::text[]
            FROM generate_subscripts(p_devices, 1) AS b (i);
        RETURN;
    END IF;

    -- Something is not as it mostly is, so each batch is looked at for all that may be said of it.
    SELECT array_agg(n.status), array_agg(n.stored_seq), array_agg(n.place - n.stored_seq - n.count),
        array_agg(n.stored_seq + n.count), array_agg(CASE WHEN n.news > 0 THEN n.place ELSE n.head END),
        array_agg(n.place - n.count + 1), array_agg(n.received_at_ms),
        array_agg(n.i) FILTER (WHERE n.lacks_catalog AND n.count > 0 AND n.news = n.count), bool_or(n.count > 0)
    INTO v_statuses, v_after, v_shifts, v_last_seqs, v_heads, v_batch_positions, v_received_ats_ms, v_catalog_before, v_has_new
    FROM (
        SELECT j.*, j.head + j.lacks_catalog::integer + j.news AS place FROM (
            SELECT c.*, sum(c.count) OVER w AS news, max(c.edge_position) OVER w AS head,
                greatest(p_now_ms, max(c.edge_received_at_ms) OVER w) AS received_at_ms
            FROM (
                SELECT s.*, CASE WHEN s.status = 'appended' AND p_counts[s.i] > 0
                    THEN greatest(0, p_first_seqs[s.i] + p_counts[s.i] - 1 - s.stored_seq)::integer ELSE 0 END AS count
                FROM (
                    SELECT f.*, CASE
                        WHEN f.in_force IS DISTINCT FROM p_catalog_version THEN 'catalog_stale'
                        WHEN f.revoked IS NULL THEN 'unregistered'
                        WHEN f.revoked THEN 'revoked'
                        WHEN p_cursors[f.i] > f.edge_position THEN 'cursor_ahead'
                        WHEN p_cursors[f.i] > 0 AND p_checks[f.i] IS DISTINCT FROM (
                            SELECT l.digest # l.received_at_ms FROM tidelog.log l
                            WHERE l.workspace = f.workspace AND l.position BETWEEN p_cursors[f.i] AND p_cursors[f.i]
                            ORDER BY l.position LIMIT 1
                        ) THEN 'cursor_diverged'
                        WHEN p_first_seqs[f.i] > f.stored_seq + 1 THEN 'seq_gap'
                        -- The _catalog event takes the seq that the server's own op was given.
                        WHEN p_devices[f.i] = '00000000-0000-0000-0000-000000000000' AND f.lacks_catalog THEN 'seq_gap'
                        WHEN p_counts[f.i] > 0 AND p_first_seqs[f.i] <= f.stored_seq AND (
                            SELECT true FROM tidelog.log l
                            WHERE l.workspace = f.workspace AND l.device = f.device
                                AND l.seq BETWEEN p_first_seqs[f.i] AND least(f.stored_seq, p_first_seqs[f.i] + p_counts[f.i] - 1)
                                AND l.digest <> o_digests[p_first_ops[f.i] + (l.seq - p_first_seqs[f.i])::integer]
                            ORDER BY l.seq LIMIT 1
                        ) THEN 'seq_differs'
                        WHEN p_cursors[f.i] IS NULL AND p_bases_max[f.i] > f.edge_position THEN 'base_ahead'
                        ELSE 'appended'
                    END AS status
                    FROM (
                        SELECT b.i, p_workspaces[b.i] AS workspace, p_devices[b.i] AS device,
                            coalesce(edge.position, 0) AS edge_position, coalesce(edge.received_at_ms, 0) AS edge_received_at_ms,
                            (SELECT max(c.version) FROM tidelog.catalogs c) AS in_force,
                            NOT v_is_current AND p_catalog_version <> (
                                SELECT h.catalog_version FROM tidelog.heads h WHERE h.workspace = p_workspaces[b.i]
                            ) AS lacks_catalog,
                            CASE WHEN p_devices[b.i] = '00000000-0000-0000-0000-000000000000' THEN false ELSE
                                (SELECT d.revoked_at_ms IS NOT NULL FROM tidelog.devices d
                                    WHERE d.workspace = p_workspaces[b.i] AND d.device = p_devices[b.i]) END AS revoked,
                            -- Mostly the op before the batch is the last one: then this looks at no other.
                            coalesce(
                                (SELECT l.seq FROM tidelog.log l
                                    WHERE l.workspace = p_workspaces[b.i] AND l.device = p_devices[b.i] AND l.seq >= p_first_seqs[b.i] - 1
                                    ORDER BY l.seq DESC LIMIT 1),
                                (SELECT l.seq FROM tidelog.log l WHERE l.workspace = p_workspaces[b.i] AND l.device = p_devices[b.i]
                                    ORDER BY l.seq DESC LIMIT 1),
                                0) AS stored_seq
                        FROM generate_subscripts(p_devices, 1) AS b (i)
                        LEFT JOIN LATERAL (
                            SELECT l.position, l.received_at_ms FROM tidelog.log l
                            WHERE l.workspace = p_workspaces[b.i]
                            ORDER BY l.position DESC LIMIT 1
                        ) edge ON true
                        OFFSET 0
                    ) AS f
                    OFFSET 0
                ) AS s
            ) AS c
            WINDOW w AS (PARTITION BY c.workspace ORDER BY c.i)
        ) AS j
    ) AS n;

    IF v_catalog_before IS NOT NULL THEN
        -- The rules in force are in the log before the first event they judge.
        INSERT INTO tidelog.log (workspace, device, position, seq, base, at_ms, received_at_ms, digest, batch_offset,
                kind, table_name, record, scope, role, actor, conflict, rejected, fields)
            SELECT p_workspaces[b.i], '00000000-0000-0000-0000-000000000000', v_batch_positions[b.i] - 1,
                1 + coalesce((SELECT l.seq FROM tidelog.log l WHERE l.workspace = p_workspaces[b.i]
                    AND l.device = '00000000-0000-0000-0000-000000000000' ORDER BY l.seq DESC LIMIT 1), 0),
                v_batch_positions[b.i] - 2, v_received_ats_ms[b.i], v_received_ats_ms[b.i], c.digest, 0,
                1, '_catalog', 'catalog', '', '', '', '', '', c.fields
            FROM unnest(v_catalog_before) AS b (i)
            JOIN tidelog.catalogs c ON c.version = p_catalog_version;
        UPDATE tidelog.heads h SET catalog_version = p_catalog_version
            FROM unnest(v_catalog_before) AS b (i) WHERE h.workspace = p_workspaces[b.i];
    END IF;
    IF v_has_new THEN
        INSERT INTO tidelog.log (workspace, device, position, seq, base, at_ms, received_at_ms, digest, batch_offset, kind,
                table_name, record, scope, role, actor, conflict, rejected, fields)
            SELECT p_workspaces[o.batch], p_devices[o.batch], o.seq + v_shifts[o.batch], o.seq, o.base,
                coalesce(o.at_ms, v_received_ats_ms[o.batch]), v_received_ats_ms[o.batch], o.digest,
                (o.seq + v_shifts[o.batch] - v_batch_positions[o.batch])::smallint, o.kind,
                o.table_name, o.record, o.scope, p_roles[o.batch], o.actor, o.conflict, o.rejected, o.fields
            FROM (
                SELECT unnest(o_batches) AS batch, unnest(o_seqs) AS seq, unnest(o_bases) AS base, unnest(o_ats_ms) AS at_ms,
                    unnest(o_digests) AS digest, unnest(o_kinds) AS kind, unnest(o_tables) AS table_name,
                    unnest(o_records) AS record, unnest(o_scopes) AS scope, unnest(o_actors) AS actor,
                    unnest(o_conflicts) AS conflict, unnest(o_rejected) AS rejected, unnest(o_fields) AS fields
            ) AS o
            WHERE v_statuses[o.batch] = 'appended' AND o.seq > v_after[o.batch];
    END IF;
    RETURN QUERY SELECT v_statuses[b.i], v_last_seqs[b.i], v_heads[b.i], v_shifts[b.i], stored.seqs, stored.positions, stored.rejected
        FROM generate_subscripts(v_statuses, 1) AS b (i)
        LEFT JOIN LATERAL (
            SELECT array_agg(s.seq) AS seqs, array_agg(s.position) AS positions, array_agg(s.rejected) AS rejected FROM (
                SELECT l.seq, l.position, l.rejected FROM tidelog.log l
                WHERE v_statuses[b.i] = 'appended' AND p_counts[b.i] > 0 AND p_first_seqs[b.i] <= v_after[b.i]
                    AND l.workspace = p_workspaces[b.i] AND l.device = p_devices[b.i]
                    AND l.seq BETWEEN p_first_seqs[b.i] AND least(v_after[b.i], p_first_seqs[b.i] + p_counts[b.i] - 1)
                ORDER BY l.seq
            ) AS s
        ) AS stored ON true
        ORDER BY b.i;
END
$$;

-- Appends the _catalog event of the catalog in force to a log that lacks it, which the next append would do otherwise.
-- Answers its position, nothing where the log has it or is empty. LOG-3 by the same lock.
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
-- What the log folds to can be made again, so an old set of it may go.
GRANT SELECT, INSERT, UPDATE, DELETE ON
    tidelog.checkpoints, tidelog.records, tidelog.record_events, tidelog.verdicts, tidelog.conflicts,
    tidelog.digests
    TO tidelog_service;
GRANT TRUNCATE ON
    tidelog.records_0, tidelog.record_events_0, tidelog.verdicts_0, tidelog.conflicts_0, tidelog.digests_0,
    tidelog.records_1, tidelog.record_events_1, tidelog.verdicts_1, tidelog.conflicts_1, tidelog.digests_1
    TO tidelog_service;

-- What analysts read by SQL: packed fields as jsonb, readable views of the log and the ledger, a role that sees those and
-- the views of the catalog's tables (schema "tables", made when a catalog is applied) and nothing else. And which rejected
-- events were readmitted.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tidelog_analyst') THEN
        CREATE ROLE tidelog_analyst NOLOGIN;
    END IF;
EXCEPTION
    -- Roles are of the whole cluster: another database's migration was faster.
    WHEN duplicate_object OR unique_violation THEN
        NULL;
    WHEN insufficient_privilege THEN
        RAISE NOTICE 'not allowed to make the role tidelog_analyst: once somebody has, tidelog migrate grants it what it may read';
END
$$;

CREATE SCHEMA tables;
CREATE SCHEMA log;
COMMENT ON SCHEMA tables IS 'A view for each table of the catalog in force';
COMMENT ON SCHEMA log IS 'The events and the conflicts, readable';

-- A float as JSON that shows it is one: 5.0, never 5. Its value is p_mantissa * 2 ^ p_exponent, in two steps since 2 ^
-- -1074 alone may be taken for an underflow; both are exact. In a schema that analysts may use: a function that a view
-- calls runs as who reads the view, and looks its own functions up as them.
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
        -- Postgres writes no digits that lie just between two floats, though they read back as the even one: 1e23. Only
        -- integers of some size can have fewer digits there.
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
COMMENT ON FUNCTION log.float_to_json IS 'A float as a JSON number with a fraction, in the shortest digits that read back the same';

-- What the log and the records keep packed, as jsonb; null of no bytes. One pass over the bytes, no recursion. The text
-- grows in pieces of some hundred tokens: appending to all of it for each would take time by the square of its length.
CREATE FUNCTION tidelog.msgpack_to_jsonb(p_packed bytea) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT
AS $$
DECLARE
    -- Unpacked by Postgres once, not for every byte that is looked at.
    v_bytes bytea := p_packed || ''::bytea;
    v_end integer := octet_length(p_packed);
    v_at integer := 0;
    v_byte integer;
    v_length integer;
    v_bits bigint;
    -- What stands before the next value: the bracket of a container that begins with it, or a comma; and its key.
    v_before text := '';
    v_text text := '';
    v_pieces text[];
    -- The values that are left of the container at hand, and of those around it.
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
                v_text := v_text || v_before || CASE WHEN v_bits & 9218868437227405312 = 0 -- too small for a leading one
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
COMMENT ON FUNCTION tidelog.msgpack_to_jsonb IS 'Packed fields or a packed value as jsonb: floats keep a fraction, binary is {"$binary": base64}, null of no bytes';

-- The time in a text, cut to the millisecond as everywhere in Tidelog; null where the text is none. A cast would take
-- 'yesterday' for one and fail on others, and an offset of more than 16 hours is none to Postgres.
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
    -- The year 0 has none of its name in SQL; it is as long as the year 4.
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
    -- A leap second ends a month, and counts as the end of the second before it.
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
COMMENT ON FUNCTION tidelog.time_of IS 'The time in a text of RFC 3339, to the millisecond; null where it is none';

-- In days and what is left of one, since a double has not enough digits for all the milliseconds of far years.
CREATE FUNCTION tidelog.time_of_ms(p_ms bigint) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT (timestamp '1970-01-01' + make_interval(days => (p_ms / 86400000)::integer, secs => p_ms % 86400000 / 1000.0))
        AT TIME ZONE 'UTC'
$$;
COMMENT ON FUNCTION tidelog.time_of_ms IS 'Milliseconds since 1970 as a time, exactly';

CREATE TABLE tidelog.readmitted (
    workspace uuid NOT NULL,
    position bigint NOT NULL,
    readmitted_position bigint NOT NULL,
    readmitted_at_ms bigint NOT NULL,
    PRIMARY KEY (workspace, position)
);
COMMENT ON TABLE tidelog.readmitted IS 'The rejected events that were readmitted, each once';
COMMENT ON COLUMN tidelog.readmitted.position IS 'The rejected event';
COMMENT ON COLUMN tidelog.readmitted.readmitted_position IS 'The event of the system device that does what it meant to';
GRANT SELECT, INSERT ON tidelog.readmitted TO tidelog_service;

-- The views are barriers: a function of a reader's own is never shown a row that the view leaves out. And what a barrier
-- unpacks it unpacks once, however many of its fields are asked for.
CREATE VIEW tidelog.live_records WITH (security_barrier) AS
    SELECT r.workspace, r.table_name, r.record, r.scope, r.version, tidelog.time_of_ms(r.updated_at_ms) AS updated_at,
        tidelog.msgpack_to_jsonb(r.fields) AS fields
    FROM tidelog.checkpoints c
    JOIN tidelog.records r ON r.workspace = c.workspace AND r.table_set = c.table_set
    WHERE c.live AND NOT r.deleted;
COMMENT ON VIEW tidelog.live_records IS 'The records that live, of the generation that is read: what the views of the catalog''s tables are made of';

CREATE VIEW log.events WITH (security_barrier) AS
    SELECT l.workspace, l.position, l.device, l.seq, l.table_name AS "table", l.record, l.scope,
        CASE l.kind WHEN 1 THEN 'put' WHEN 2 THEN 'delete' WHEN 3 THEN 'resolve' END AS kind,
        tidelog.msgpack_to_jsonb(l.fields) AS fields, l.base, tidelog.time_of_ms(l.at_ms) AS at,
        tidelog.time_of_ms(l.received_at_ms) AS received_at, l.role, nullif(l.actor, '') AS actor,
        nullif(l.conflict, '') AS conflict, nullif(l.rejected, '') AS rejected, l.position - l.batch_offset AS batch
    FROM tidelog.log l;
COMMENT ON VIEW log.events IS 'Every event of every log, rejected ones too';
COMMENT ON COLUMN log.events.workspace IS 'Whose log it is in';
COMMENT ON COLUMN log.events.position IS 'Its place in that log: dense from 1, in the order in which the server stored them';
COMMENT ON COLUMN log.events.device IS 'The device that made it; the nil UUID is the server''s own';
COMMENT ON COLUMN log.events.seq IS 'That device''s number of it: dense from 1, in the order in which it was made';
COMMENT ON COLUMN log.events."table" IS 'The table of the record; _catalog of a change of the rules';
COMMENT ON COLUMN log.events.record IS 'The record within table and scope';
COMMENT ON COLUMN log.events.scope IS 'The scope of the record; empty is everyone''s';
COMMENT ON COLUMN log.events.kind IS 'put, delete or resolve';
COMMENT ON COLUMN log.events.fields IS 'The fields that it sets; null of a delete, and where they are not kept';
COMMENT ON COLUMN log.events.base IS 'The position up to which its device had taken in everything: events after it were not known to its maker';
COMMENT ON COLUMN log.events.at IS 'When it was made, by the device''s clock';
COMMENT ON COLUMN log.events.received_at IS 'When the server stored it; never steps back within a log';
COMMENT ON COLUMN log.events.role IS 'The device''s role then; of the server''s own ops that of whom they are for';
COMMENT ON COLUMN log.events.actor IS 'Who held the device, if the app said so';
COMMENT ON COLUMN log.events.conflict IS 'The conflict that a resolve names';
COMMENT ON COLUMN log.events.rejected IS 'The code by which it was rejected; null of one that was not';
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
COMMENT ON VIEW log.conflicts IS 'The ledger: a row for every value that lost, with what it lost to';
COMMENT ON COLUMN log.conflicts.workspace IS 'Whose log it is of';
COMMENT ON COLUMN log.conflicts.conflict IS 'Its id: <position>.<field>';
COMMENT ON COLUMN log.conflicts.position IS 'The event that met the conflict: the winner or the loser';
COMMENT ON COLUMN log.conflicts."table" IS 'The table of the record';
COMMENT ON COLUMN log.conflicts.record IS 'The record within table and scope';
COMMENT ON COLUMN log.conflicts.scope IS 'The scope of the record; empty is everyone''s';
COMMENT ON COLUMN log.conflicts.field IS 'The field; empty of a delete that lost';
COMMENT ON COLUMN log.conflicts.rule IS 'What decided';
COMMENT ON COLUMN log.conflicts.status IS 'open: a person must choose; resolved: one did; overtaken: somebody who knew both wrote again; automatic: a rule decided';
COMMENT ON COLUMN log.conflicts.winner_position IS 'The event whose value stood; null where nothing stood against the loser';
COMMENT ON COLUMN log.conflicts.winner_device IS 'The device that made the winner';
COMMENT ON COLUMN log.conflicts.winner_role IS 'That device''s role';
COMMENT ON COLUMN log.conflicts.winner_actor IS 'Who held that device, if the app said so';
COMMENT ON COLUMN log.conflicts.winner_at IS 'When the winner was made, by that device''s clock';
COMMENT ON COLUMN log.conflicts.winner_deleted IS 'Whether the winner deleted the record';
COMMENT ON COLUMN log.conflicts.winner_value IS 'The value that stood; null of a delete, and where nothing stood in the field';
COMMENT ON COLUMN log.conflicts.loser_position IS 'The event whose value lost';
COMMENT ON COLUMN log.conflicts.loser_device IS 'The device that made the loser';
COMMENT ON COLUMN log.conflicts.loser_role IS 'That device''s role';
COMMENT ON COLUMN log.conflicts.loser_actor IS 'Who held that device, if the app said so';
COMMENT ON COLUMN log.conflicts.loser_at IS 'When the loser was made, by that device''s clock';
COMMENT ON COLUMN log.conflicts.loser_deleted IS 'Whether the loser wanted the record deleted';
COMMENT ON COLUMN log.conflicts.loser_value IS 'The value that lost; null of a delete';
COMMENT ON COLUMN log.conflicts.closed_position IS 'The event that resolved it or overtook it, if one did';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'tidelog_analyst') THEN
        GRANT USAGE ON SCHEMA tables, log TO tidelog_analyst;
        GRANT SELECT ON log.events, log.conflicts TO tidelog_analyst;
    END IF;
END
$$;
