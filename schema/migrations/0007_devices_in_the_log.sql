-- Who a device is stands in the log, by _devices events, which tidelog.append puts before the first op of a device. A
-- registration may be repeated by its nonce, and a device may renew its token (docs/adr/0028).
--
-- Servers from before this migration go on: what their devices push needs no event, and tidelog.append appends the events
-- of devices that newer servers registered, whichever server calls it.

ALTER TABLE tidelog.devices
    ADD COLUMN nonce text,
    ADD COLUMN previous_token_sha256 bytea,
    ADD COLUMN previous_until_ms bigint,
    ADD COLUMN replaces_through bigint,
    ADD COLUMN event_position bigint NOT NULL DEFAULT 0,
    ADD COLUMN access_position bigint NOT NULL DEFAULT 0,
    ADD COLUMN event_digest bigint,
    ADD COLUMN event_fields bytea;
COMMENT ON COLUMN tidelog.devices.nonce IS 'What the client made up to name the registration, so that it may repeat it; null if it gave none';
COMMENT ON COLUMN tidelog.devices.previous_token_sha256 IS 'The token before the present one, as long as the present one was not used; null if there is none';
COMMENT ON COLUMN tidelog.devices.previous_until_ms IS 'Until when the token before the present one is valid';
COMMENT ON COLUMN tidelog.devices.replaces IS 'The device whose ops the device made under its old name; null if it replaces none';
COMMENT ON COLUMN tidelog.devices.replaces_through IS 'The last seq of these ops; null if it replaces no device';
COMMENT ON COLUMN tidelog.devices.event_position IS 'The position of the _devices event of its registration; 0 before its first append';
COMMENT ON COLUMN tidelog.devices.access_position IS 'The position of the last _devices event that changed its role or scopes; 0 if none did';
COMMENT ON COLUMN tidelog.devices.event_fields IS 'The fields of the _devices event that its next append puts into the log first; null if the log has the event, or if the device is of a server from before these events';
COMMENT ON COLUMN tidelog.devices.event_digest IS 'The digest of that event';

-- Finds the device that a key registered with a nonce.
CREATE INDEX devices_nonce ON tidelog.devices (workspace, enrolled_by, nonce) WHERE nonce IS NOT NULL;

ALTER TABLE tidelog.heads ADD COLUMN access_position bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN tidelog.heads.access_position IS 'The position of the last _devices event in the log that changed the role or scopes of a device; 0 if there is none';

ALTER TABLE tidelog.device_changes
    ADD COLUMN role text,
    ADD COLUMN scopes text[];
COMMENT ON COLUMN tidelog.device_changes.role IS 'The role of the device from the event on; null if the event does not change what the device may do';
COMMENT ON COLUMN tidelog.device_changes.scopes IS 'The scopes of the device from the event on; null together with the role';

-- Finds what a device was allowed at a position.
CREATE INDEX device_changes_access ON tidelog.device_changes (workspace, device, position) WHERE role IS NOT NULL;

COMMENT ON COLUMN log.events."table" IS 'The table of the record; _catalog if the event changes the catalog, _devices if it says who a device is';

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
CREATE OR REPLACE FUNCTION tidelog.append(
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
CREATE OR REPLACE FUNCTION tidelog.append_slow(
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
