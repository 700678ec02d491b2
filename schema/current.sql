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
COMMENT ON TABLE tidelog.devices IS 'The replicas of the apps. What changes with each push is in device_heads and device_presence';
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

CREATE TABLE tidelog.log (
    workspace uuid NOT NULL,
    device uuid NOT NULL,
    position bigint NOT NULL,
    seq bigint NOT NULL,
    batch bigint NOT NULL,
    base bigint NOT NULL,
    at_ms bigint NOT NULL,
    received_at_ms bigint NOT NULL,
    digest bigint NOT NULL,
    kind smallint NOT NULL,
    table_name text NOT NULL,
    record text NOT NULL,
    scope text NOT NULL,
    role text NOT NULL,
    actor text NOT NULL,
    conflict text,
    rejected text,
    fields bytea,
    PRIMARY KEY (workspace, device, seq),
    UNIQUE (workspace, position)
);
COMMENT ON TABLE tidelog.log IS 'The events. LOG-1 by its primary key; LOG-3 since the service can only select and insert';
COMMENT ON COLUMN tidelog.log.batch IS 'The position of the first event of the same push';
COMMENT ON COLUMN tidelog.log.base IS 'The position up to which the device had taken in everything';
COMMENT ON COLUMN tidelog.log.digest IS 'XXH3-64 of the content, made at append';
COMMENT ON COLUMN tidelog.log.kind IS '1 put, 2 delete, 3 resolve';
COMMENT ON COLUMN tidelog.log.conflict IS 'The conflict that a resolve names';
COMMENT ON COLUMN tidelog.log.rejected IS 'Why the event has no effect; null where it has';
COMMENT ON COLUMN tidelog.log.fields IS 'The fields of a put or resolve as MessagePack';

-- Updated by every push, so narrow, and with room on the page for the next version.
CREATE TABLE tidelog.heads (
    workspace uuid PRIMARY KEY,
    head bigint NOT NULL DEFAULT 0,
    received_at_ms bigint NOT NULL DEFAULT 0,
    catalog_version bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 40);
COMMENT ON TABLE tidelog.heads IS 'The last position of each log. Its row lock orders the appends';
COMMENT ON COLUMN tidelog.heads.catalog_version IS 'The version of the last _catalog event';

CREATE TABLE tidelog.device_heads (
    workspace uuid NOT NULL,
    device uuid NOT NULL,
    last_seq bigint NOT NULL DEFAULT 0,
    revoked boolean NOT NULL DEFAULT false,
    PRIMARY KEY (workspace, device)
) WITH (fillfactor = 40);
COMMENT ON TABLE tidelog.device_heads IS 'The last stored seq of each device, and whether it may push';

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

-- Appends the waiting batches of one workspace, each of another device, in one transaction.
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
CREATE FUNCTION tidelog.append(
    p_workspace uuid,
    p_now_ms bigint,
    p_catalog_version bigint,
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
    stored_seqs bigint[],
    stored_positions bigint[],
    stored_rejected text[],
    shift bigint
)
LANGUAGE plpgsql
AS $$
DECLARE
    v_head tidelog.heads%ROWTYPE;
    v_batches integer := cardinality(p_devices);
    v_in_force bigint;
    v_received_at_ms bigint;
    v_start bigint;
    v_last_seq bigint;
    v_revoked boolean;
    v_check bigint;
    v_new bigint;
    v_next bigint;
    v_statuses text[] := array_fill('appended'::text, ARRAY[v_batches]);
    -- ops of batch i with a seq past v_after[i] are stored, at seq + v_shifts[i], as batch v_batch_positions[i]
    v_after bigint[] := array_fill(9223372036854775807, ARRAY[v_batches]);
    v_shifts bigint[] := array_fill(0::bigint, ARRAY[v_batches]);
    v_batch_positions bigint[] := array_fill(0::bigint, ARRAY[v_batches]);
    v_last_seqs bigint[] := array_fill(0::bigint, ARRAY[v_batches]);
    v_appends boolean := false;
    -- how many ops stand before those of the batch at hand
    v_before integer := 0;
BEGIN
    SELECT h.* INTO v_head FROM tidelog.heads h WHERE h.workspace = p_workspace FOR UPDATE;
    SELECT max(c.version) INTO v_in_force FROM tidelog.catalogs c;
    IF v_in_force IS DISTINCT FROM p_catalog_version THEN
        RETURN QUERY SELECT 'catalog_stale'::text, 0::bigint, v_head.head, NULL::bigint[], NULL::bigint[], NULL::text[], 0::bigint
            FROM generate_series(1, v_batches);
        RETURN;
    END IF;

    v_received_at_ms := greatest(p_now_ms, v_head.received_at_ms);
    v_start := v_head.head + CASE WHEN v_head.catalog_version = p_catalog_version THEN 0 ELSE 1 END;
    v_next := v_start + 1;

    FOR i IN 1 .. v_batches LOOP
        v_before := CASE i WHEN 1 THEN 0 ELSE v_before + p_counts[i - 1]::integer END;
        SELECT d.last_seq, d.revoked INTO v_last_seq, v_revoked
            FROM tidelog.device_heads d WHERE d.workspace = p_workspace AND d.device = p_devices[i];
        IF v_last_seq IS NULL THEN
            v_statuses[i] := 'unregistered';
            CONTINUE;
        END IF;
        v_last_seqs[i] := v_last_seq;
        IF v_revoked THEN
            v_statuses[i] := 'revoked';
            CONTINUE;
        END IF;
        IF p_cursors[i] > v_head.head THEN
            v_statuses[i] := 'cursor_ahead';
            CONTINUE;
        END IF;
        IF p_cursors[i] > 0 THEN
            SELECT l.digest # l.received_at_ms INTO v_check FROM tidelog.log l WHERE l.workspace = p_workspace AND l.position = p_cursors[i];
            IF v_check IS DISTINCT FROM p_checks[i] THEN
                v_statuses[i] := 'cursor_diverged';
                CONTINUE;
            END IF;
        END IF;
        IF p_first_seqs[i] > v_last_seq + 1 THEN
            v_statuses[i] := 'seq_gap';
            CONTINUE;
        END IF;
        -- A range of the primary key and a subscript, so that no planner without statistics makes a join of it.
        IF p_counts[i] > 0 AND p_first_seqs[i] <= v_last_seq AND EXISTS (
            SELECT FROM tidelog.log l
                WHERE l.workspace = p_workspace AND l.device = p_devices[i]
                    AND l.seq BETWEEN p_first_seqs[i] AND least(v_last_seq, p_first_seqs[i] + p_counts[i] - 1)
                    AND l.digest <> o_digests[v_before + (l.seq - p_first_seqs[i])::integer + 1]
        ) THEN
            v_statuses[i] := 'seq_differs';
            CONTINUE;
        END IF;
        IF p_cursors[i] IS NULL AND p_bases_max[i] > v_head.head THEN
            v_statuses[i] := 'base_ahead';
            CONTINUE;
        END IF;
        v_new := p_first_seqs[i] + p_counts[i] - 1 - v_last_seq;
        IF p_counts[i] > 0 AND v_new > 0 THEN
            v_appends := true;
            v_after[i] := v_last_seq;
            v_shifts[i] := v_next - 1 - v_last_seq;
            v_batch_positions[i] := v_next;
            v_last_seqs[i] := v_last_seq + v_new;
            v_next := v_next + v_new;
        END IF;
    END LOOP;

    IF v_appends THEN
        IF v_start > v_head.head THEN
            -- The rules in force are in the log before the first event they judge.
            UPDATE tidelog.device_heads d SET last_seq = d.last_seq + 1
                WHERE d.workspace = p_workspace AND d.device = '00000000-0000-0000-0000-000000000000'
                RETURNING d.last_seq INTO v_last_seq;
            INSERT INTO tidelog.log (workspace, device, position, seq, batch, base, at_ms, received_at_ms, digest, kind,
                    table_name, record, scope, role, actor, fields)
                SELECT p_workspace, '00000000-0000-0000-0000-000000000000', v_start, v_last_seq, v_start, v_start - 1,
                    v_received_at_ms, v_received_at_ms, c.digest, 1, '_catalog', 'catalog', '', '', '', c.fields
                FROM tidelog.catalogs c WHERE c.version = p_catalog_version;
        END IF;
        INSERT INTO tidelog.log (workspace, device, position, seq, batch, base, at_ms, received_at_ms, digest, kind,
                table_name, record, scope, role, actor, conflict, rejected, fields)
            SELECT p_workspace, p_devices[o.batch], o.seq + v_shifts[o.batch], o.seq, v_batch_positions[o.batch], o.base,
                coalesce(o.at_ms, v_received_at_ms), v_received_at_ms, o.digest, o.kind,
                o.table_name, o.record, o.scope, p_roles[o.batch], o.actor, o.conflict, o.rejected, o.fields
            FROM unnest(o_batches, o_seqs, o_bases, o_ats_ms, o_digests, o_kinds, o_tables, o_records, o_scopes, o_actors,
                    o_conflicts, o_rejected, o_fields)
                AS o (batch, seq, base, at_ms, digest, kind, table_name, record, scope, actor, conflict, rejected, fields)
            WHERE o.seq > v_after[o.batch];
        UPDATE tidelog.device_heads d SET last_seq = b.last_seq
            FROM unnest(p_devices, v_last_seqs, v_batch_positions) AS b (device, last_seq, position)
            WHERE d.workspace = p_workspace AND d.device = b.device AND b.position > 0;
        UPDATE tidelog.heads h
            SET head = v_next - 1, received_at_ms = v_received_at_ms, catalog_version = p_catalog_version
            WHERE h.workspace = p_workspace;
    ELSE
        v_next := v_head.head + 1;
    END IF;

    FOR i IN 1 .. v_batches LOOP
        status := v_statuses[i];
        last_seq := v_last_seqs[i];
        head := v_next - 1;
        shift := v_shifts[i];
        stored_seqs := NULL;
        stored_positions := NULL;
        stored_rejected := NULL;
        IF status = 'appended' AND p_counts[i] > 0 AND p_first_seqs[i] <= least(v_after[i], last_seq) THEN
            SELECT array_agg(l.seq ORDER BY l.seq), array_agg(l.position ORDER BY l.seq), array_agg(l.rejected ORDER BY l.seq)
                INTO stored_seqs, stored_positions, stored_rejected
                FROM tidelog.log l
                WHERE l.workspace = p_workspace AND l.device = p_devices[i]
                    AND l.seq BETWEEN p_first_seqs[i] AND least(v_after[i], p_first_seqs[i] + p_counts[i] - 1);
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;

GRANT SELECT, INSERT ON tidelog.log TO tidelog_service;
GRANT SELECT, INSERT, UPDATE ON
    tidelog.workspaces, tidelog.devices, tidelog.enrollment_keys, tidelog.analyst_tokens, tidelog.admin_tokens,
    tidelog.heads, tidelog.device_heads, tidelog.device_presence, tidelog.checkpoints, tidelog.records, tidelog.verdicts
    TO tidelog_service;
GRANT SELECT, INSERT ON tidelog.catalogs TO tidelog_service;
