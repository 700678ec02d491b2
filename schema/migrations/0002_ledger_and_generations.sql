-- The conflict ledger, rebuilds beside the live records, history, and appends by the system device.
--
-- What the projector has made so far goes: it is made again from the log, which has everything, once a server runs.

DROP TABLE tidelog.records, tidelog.verdicts, tidelog.checkpoints;

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
CREATE INDEX records_touched ON tidelog.records (workspace, table_set, touched);
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

DO $$
BEGIN
    ALTER TABLE tidelog.records_0 ALTER COLUMN fields SET COMPRESSION lz4, ALTER COLUMN state SET COMPRESSION lz4;
    ALTER TABLE tidelog.records_1 ALTER COLUMN fields SET COMPRESSION lz4, ALTER COLUMN state SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    NULL;
END
$$;

-- The few of the system device's events that are looked for by what they are. By seq, which no other key is in the order
-- of, so that no plan made early takes another.
CREATE INDEX log_catalogs ON tidelog.log (workspace, seq) WHERE table_name = '_catalog';

ALTER TABLE tidelog.workspaces ADD COLUMN generations bigint NOT NULL DEFAULT 1;
COMMENT ON COLUMN tidelog.workspaces.generations IS 'The highest number that was given to a making of its records';

INSERT INTO tidelog.checkpoints (workspace, generation, table_set, live)
    SELECT w.workspace, 1, 0, true FROM tidelog.workspaces w;

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
CREATE OR REPLACE FUNCTION tidelog.append(
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

GRANT SELECT, INSERT, UPDATE, DELETE ON
    tidelog.checkpoints, tidelog.records, tidelog.record_events, tidelog.verdicts, tidelog.conflicts,
    tidelog.digests
    TO tidelog_service;
GRANT TRUNCATE ON
    tidelog.records_0, tidelog.record_events_0, tidelog.verdicts_0, tidelog.conflicts_0, tidelog.digests_0,
    tidelog.records_1, tidelog.record_events_1, tidelog.verdicts_1, tidelog.conflicts_1, tidelog.digests_1
    TO tidelog_service;
