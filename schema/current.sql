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
    name text NOT NULL
);
COMMENT ON TABLE tidelog.workspaces IS 'The tenants: each has one totally ordered log';

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
    workspace uuid PRIMARY KEY,
    position bigint NOT NULL DEFAULT 0,
    catalog_position bigint NOT NULL DEFAULT 0,
    generation bigint NOT NULL DEFAULT 1
) WITH (fillfactor = 40);
COMMENT ON TABLE tidelog.checkpoints IS 'How far each log is folded into records';
COMMENT ON COLUMN tidelog.checkpoints.catalog_position IS 'The position of the _catalog event in force at the checkpoint';

CREATE TABLE tidelog.records (
    workspace uuid NOT NULL,
    version bigint NOT NULL,
    touched bigint NOT NULL,
    updated_at_ms bigint NOT NULL,
    open_conflicts integer NOT NULL,
    deleted boolean NOT NULL,
    table_name text NOT NULL,
    scope text NOT NULL,
    record text NOT NULL,
    fields bytea NOT NULL,
    state bytea NOT NULL,
    PRIMARY KEY (workspace, table_name, scope, record)
) WITH (fillfactor = 80);
CREATE INDEX records_version ON tidelog.records (workspace, version);
CREATE INDEX records_touched ON tidelog.records (workspace, touched);
CREATE INDEX records_open_conflicts ON tidelog.records (workspace) WHERE open_conflicts > 0;
COMMENT ON TABLE tidelog.records IS 'FOLD-1: what the log up to the checkpoint folds to';
COMMENT ON COLUMN tidelog.records.state IS 'Writers, last delete and open conflicts: what folding on needs';

CREATE TABLE tidelog.verdicts (
    workspace uuid NOT NULL,
    position bigint NOT NULL,
    verdict text NOT NULL,
    conflicts jsonb NOT NULL,
    PRIMARY KEY (workspace, position)
);
COMMENT ON TABLE tidelog.verdicts IS 'The folded events that did not simply apply';
COMMENT ON COLUMN tidelog.verdicts.conflicts IS 'The ids of the ledger rows of the values that the event lost';

-- Large fields: lz4 halves them for half the time of the default, which stays where Postgres was built without it.
DO $$
BEGIN
    ALTER TABLE tidelog.log ALTER COLUMN fields SET COMPRESSION lz4;
    ALTER TABLE tidelog.records ALTER COLUMN fields SET COMPRESSION lz4, ALTER COLUMN state SET COMPRESSION lz4;
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
--   unregistered   no such device in this workspace
--   revoked        the device may no longer push
--   catalog_stale  judged under another catalog than the one in force: judge again (all batches)
--   cursor_ahead   the batch's cursor lies past head
--   cursor_diverged  the event at the batch's cursor has another check: its digest combined with received_at_ms
--   seq_gap        ops before the batch are missing
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
    v_batches integer := cardinality(p_devices);
    v_in_force bigint;
    fact record;
    i integer;
    -- of the workspace at hand
    v_head bigint;
    v_next bigint;
    v_received_at_ms bigint;
    v_lacks_catalog boolean;
    -- how many ops stand before those of the batch at hand, and how many of its own are new
    v_before integer := 0;
    v_new bigint;
    v_statuses text[] := array_fill('appended'::text, ARRAY[v_batches]);
    -- ops of batch i with a seq past v_after[i] are stored, at seq + v_shifts[i], as batch v_batch_positions[i]
    v_after bigint[] := array_fill(9223372036854775807, ARRAY[v_batches]);
    v_shifts bigint[] := array_fill(0::bigint, ARRAY[v_batches]);
    v_batch_positions bigint[] := array_fill(0::bigint, ARRAY[v_batches]);
    v_last_seqs bigint[] := array_fill(0::bigint, ARRAY[v_batches]);
    v_heads bigint[] := array_fill(0::bigint, ARRAY[v_batches]);
    v_received_ats_ms bigint[] := array_fill(0::bigint, ARRAY[v_batches]);
    v_has_new boolean := false;
    v_has_stored boolean := false;
BEGIN
    PERFORM FROM (
        SELECT FROM tidelog.heads h WHERE h.workspace = ANY (p_workspaces) ORDER BY h.workspace FOR UPDATE
    ) AS locked;

    -- Statements after the lock see all that was committed under it before. Subqueries, so that each is a probe of its
    -- key whatever a planner without statistics believes of the tables.
    SELECT max(c.version) INTO v_in_force FROM tidelog.catalogs c;
    FOR fact IN
        SELECT b.i, p_workspaces[b.i] IS DISTINCT FROM p_workspaces[b.i - 1] AS is_first,
            edge.position, edge.received_at_ms,
            (SELECT h.catalog_version FROM tidelog.heads h WHERE h.workspace = p_workspaces[b.i]) AS catalog_version,
            (SELECT d.revoked_at_ms IS NOT NULL FROM tidelog.devices d
                WHERE d.workspace = p_workspaces[b.i] AND d.device = p_devices[b.i]) AS revoked,
            (SELECT l.seq FROM tidelog.log l WHERE l.workspace = p_workspaces[b.i] AND l.device = p_devices[b.i]
                ORDER BY l.seq DESC LIMIT 1) AS last_seq,
            CASE WHEN p_cursors[b.i] > 0 THEN (SELECT l.digest # l.received_at_ms FROM tidelog.log l
                WHERE l.workspace = p_workspaces[b.i] AND l.position = p_cursors[b.i]) END AS cursor_check
        FROM generate_subscripts(p_devices, 1) AS b (i)
        LEFT JOIN LATERAL (
            SELECT l.position, l.received_at_ms FROM tidelog.log l
            WHERE p_workspaces[b.i] IS DISTINCT FROM p_workspaces[b.i - 1] AND l.workspace = p_workspaces[b.i]
            ORDER BY l.position DESC LIMIT 1
        ) edge ON true
        ORDER BY b.i
    LOOP
        i := fact.i;
        IF fact.is_first THEN
            v_head := coalesce(fact.position, 0);
            v_received_at_ms := greatest(p_now_ms, fact.received_at_ms);
            v_lacks_catalog := fact.catalog_version IS DISTINCT FROM p_catalog_version;
            v_next := v_head + 1;
        END IF;
        v_before := CASE i WHEN 1 THEN 0 ELSE v_before + p_counts[i - 1]::integer END;
        v_heads[i] := v_next - 1;
        v_received_ats_ms[i] := v_received_at_ms;
        v_last_seqs[i] := coalesce(fact.last_seq, 0);
        IF v_in_force IS DISTINCT FROM p_catalog_version THEN
            v_statuses[i] := 'catalog_stale';
        ELSIF fact.revoked IS NULL THEN
            v_statuses[i] := 'unregistered';
        ELSIF fact.revoked THEN
            v_statuses[i] := 'revoked';
        ELSIF p_cursors[i] > v_head THEN
            v_statuses[i] := 'cursor_ahead';
        ELSIF p_cursors[i] > 0 AND fact.cursor_check IS DISTINCT FROM p_checks[i] THEN
            v_statuses[i] := 'cursor_diverged';
        ELSIF p_first_seqs[i] > v_last_seqs[i] + 1 THEN
            v_statuses[i] := 'seq_gap';
        -- A range of the primary key and a subscript, so that no planner makes a join of it.
        ELSIF p_counts[i] > 0 AND p_first_seqs[i] <= v_last_seqs[i] AND EXISTS (
            SELECT FROM tidelog.log l
                WHERE l.workspace = p_workspaces[i] AND l.device = p_devices[i]
                    AND l.seq BETWEEN p_first_seqs[i] AND least(v_last_seqs[i], p_first_seqs[i] + p_counts[i] - 1)
                    AND l.digest <> o_digests[v_before + (l.seq - p_first_seqs[i])::integer + 1]
        ) THEN
            v_statuses[i] := 'seq_differs';
        ELSIF p_cursors[i] IS NULL AND p_bases_max[i] > v_head THEN
            v_statuses[i] := 'base_ahead';
        ELSE
            v_has_stored := v_has_stored OR (p_counts[i] > 0 AND p_first_seqs[i] <= v_last_seqs[i]);
            v_new := p_first_seqs[i] + p_counts[i] - 1 - v_last_seqs[i];
            IF p_counts[i] > 0 AND v_new > 0 THEN
                IF v_lacks_catalog THEN
                    -- The rules in force are in the log before the first event they judge.
                    INSERT INTO tidelog.log (workspace, device, position, seq, base, at_ms, received_at_ms, digest, batch_offset,
                            kind, table_name, record, scope, role, actor, conflict, rejected, fields)
                        SELECT p_workspaces[i], '00000000-0000-0000-0000-000000000000', v_next,
                            1 + coalesce((SELECT l.seq FROM tidelog.log l WHERE l.workspace = p_workspaces[i]
                                AND l.device = '00000000-0000-0000-0000-000000000000' ORDER BY l.seq DESC LIMIT 1), 0),
                            v_head, v_received_at_ms, v_received_at_ms, c.digest, 0,
                            1, '_catalog', 'catalog', '', '', '', '', '', c.fields
                        FROM tidelog.catalogs c WHERE c.version = p_catalog_version;
                    UPDATE tidelog.heads h SET catalog_version = p_catalog_version WHERE h.workspace = p_workspaces[i];
                    v_lacks_catalog := false;
                    v_next := v_next + 1;
                END IF;
                v_has_new := true;
                v_after[i] := v_last_seqs[i];
                v_shifts[i] := v_next - 1 - v_last_seqs[i];
                v_batch_positions[i] := v_next;
                v_last_seqs[i] := v_last_seqs[i] + v_new;
                v_next := v_next + v_new;
                v_heads[i] := v_next - 1;
            END IF;
        END IF;
    END LOOP;

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
            WHERE o.seq > v_after[o.batch];
    END IF;
    IF NOT v_has_stored THEN
        RETURN QUERY SELECT unnest(v_statuses), unnest(v_last_seqs), unnest(v_heads), unnest(v_shifts),
            NULL::bigint[], NULL::bigint[], NULL::text[];
        RETURN;
    END IF;
    FOR i IN 1 .. v_batches LOOP
        status := v_statuses[i];
        last_seq := v_last_seqs[i];
        head := v_heads[i];
        shift := v_shifts[i];
        stored_seqs := NULL;
        stored_positions := NULL;
        stored_rejected := NULL;
        IF status = 'appended' AND p_counts[i] > 0 AND p_first_seqs[i] <= least(v_after[i], last_seq) THEN
            SELECT array_agg(l.seq ORDER BY l.seq), array_agg(l.position ORDER BY l.seq), array_agg(l.rejected ORDER BY l.seq)
                INTO stored_seqs, stored_positions, stored_rejected
                FROM tidelog.log l
                WHERE l.workspace = p_workspaces[i] AND l.device = p_devices[i]
                    AND l.seq BETWEEN p_first_seqs[i] AND least(v_after[i], p_first_seqs[i] + p_counts[i] - 1);
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;

GRANT SELECT, INSERT ON tidelog.log TO tidelog_service;
GRANT SELECT, INSERT, UPDATE ON
    tidelog.workspaces, tidelog.devices, tidelog.enrollment_keys, tidelog.analyst_tokens, tidelog.admin_tokens,
    tidelog.heads, tidelog.device_presence, tidelog.checkpoints, tidelog.records, tidelog.verdicts
    TO tidelog_service;
GRANT SELECT, INSERT ON tidelog.catalogs TO tidelog_service;
