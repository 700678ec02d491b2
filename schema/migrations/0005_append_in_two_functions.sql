-- tidelog.append takes two arrays of rows in place of 23 parallel arrays, and a function of its own handles unusual groups
-- (docs/adr/0025). Servers from before this migration go on with the old call. The rest of this migration changes no
-- behaviour: it gives columns, views and functions descriptions that read once.

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
                    SELECT d.revoked_at_ms IS NULL FROM tidelog.devices d
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

-- tidelog.append for a group in which anything is unusual: the first events of a log, a new catalog, repeated ops, a
-- batch to refuse. The status of a batch is the first of these that holds; only appended stores anything.
--   catalog_stale    another catalog is in force than the ops were judged by (true of all batches)
--   unregistered     the workspace has no such device; the system device belongs to every workspace
--   revoked          the device may no longer push
--   cursor_ahead     the cursor is past the head
--   cursor_diverged  the event at the cursor has another check
--   seq_gap          ops before the batch are missing; for the system device also the _catalog event (append_catalog)
--   seq_differs      a stored op has another digest than the one that was sent with its seq
--   base_ahead       an op's base is past the head
--   appended         every op is in the log, from this call or an earlier one
-- Locks: the caller, tidelog.append, holds the head rows of all workspaces. A head row is updated if its log gets a
-- _catalog event; no other row is locked.
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
            CASE WHEN b.device = v_system THEN false ELSE (
                SELECT d.revoked_at_ms IS NOT NULL FROM tidelog.devices d
                WHERE d.workspace = b.workspace AND d.device = b.device
            ) END AS is_revoked,
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
            -- The _catalog event would take the seq that the op was given.
            WHEN b.device = v_system AND b.lacks_catalog THEN 'seq_gap'
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
    -- last_position. A log that lacks the catalog gets its _catalog event before its first new op.
    placed AS MATERIALIZED (
        SELECT c.*, sum(c.new_count) OVER so_far AS new_so_far,
            c.old_head + c.lacks_catalog::integer + sum(c.new_count) OVER so_far AS last_position
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

CREATE OR REPLACE FUNCTION log.float_to_json(p_mantissa bigint, p_exponent integer) RETURNS text
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

CREATE OR REPLACE FUNCTION tidelog.msgpack_to_jsonb(p_packed bytea) RETURNS jsonb
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

CREATE OR REPLACE FUNCTION tidelog.time_of(p_text text) RETURNS timestamptz
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

COMMENT ON TABLE tidelog.workspaces IS 'The tenants. Each has one totally ordered log';
COMMENT ON COLUMN tidelog.workspaces.generations IS 'The number of the newest generation of its records; the next rebuild takes the number after it';
COMMENT ON TABLE tidelog.catalogs IS 'Every catalog that was ever applied. The one with the highest version is in force';
COMMENT ON COLUMN tidelog.catalogs.source IS 'The TOML file that was applied';
COMMENT ON COLUMN tidelog.catalogs.fields IS 'The fields of its _catalog events, as MessagePack';
COMMENT ON COLUMN tidelog.catalogs.digest IS 'The digest of its _catalog events';
COMMENT ON TABLE tidelog.devices IS 'The devices: each is one replica of an app. What a device reports about itself is in device_presence';
COMMENT ON COLUMN tidelog.devices.scopes IS 'The scopes that the device may use beside the empty one; {*} means all';
COMMENT ON TABLE tidelog.enrollment_keys IS 'Credentials that register devices of one role. A limit that is null does not apply';
COMMENT ON TABLE tidelog.log IS 'The events. The primary key enforces LOG-1; the service can only select and insert, as LOG-3 requires';
COMMENT ON COLUMN tidelog.log.batch_offset IS 'The position of the event minus the position of the first event of its batch';
COMMENT ON COLUMN tidelog.log.base IS 'The position up to which the device had taken in everything when it made the op';
COMMENT ON COLUMN tidelog.log.digest IS 'The XXH3-64 of the content, computed at append';
COMMENT ON COLUMN tidelog.log.conflict IS 'The id of the conflict that a resolve settles; empty for a put or delete';
COMMENT ON COLUMN tidelog.log.rejected IS 'The code of a rejected event, which has no effect; empty if the event was not rejected';
COMMENT ON COLUMN tidelog.log.fields IS 'The fields of a put or resolve as MessagePack; empty if there are none, or if they were too large to keep';
COMMENT ON TABLE tidelog.heads IS 'One row per log. Its lock puts the appends to the log in order';
COMMENT ON COLUMN tidelog.heads.catalog_version IS 'The version of the last _catalog event in the log; 0 if there is none';
COMMENT ON TABLE tidelog.device_presence IS 'What devices report about themselves. Written with a delay of some seconds';
COMMENT ON TABLE tidelog.checkpoints IS 'How far each log is folded into each table set. One set of a workspace is live; the other one is being rebuilt, or holds the generation before';
COMMENT ON COLUMN tidelog.checkpoints.generation IS 'The number of this generation of the records. Each rebuild makes a new generation';
COMMENT ON COLUMN tidelog.checkpoints.refold_position IS 'The position of the _catalog event whose rules this generation applies to all events; 0 if each event is folded by the rules in force at its own position';
COMMENT ON COLUMN tidelog.checkpoints.verified_at_ms IS 'When tidelog verify last found the records to be right; 0 if it never did';
COMMENT ON TABLE tidelog.records IS 'The records: the fold of the log up to the checkpoint (FOLD-1)';
COMMENT ON COLUMN tidelog.records.state IS 'What folding further events needs: contributors, deletes, what a tombstone keeps, conflicts, the newest events';
COMMENT ON TABLE tidelog.record_events IS 'The positions of the events of each record, 64 per block. Those of its newest events are in records.state';
COMMENT ON TABLE tidelog.verdicts IS 'The verdicts of folded events, except the verdict applied';
COMMENT ON TABLE tidelog.conflicts IS 'The conflicts: a row for every value that lost (RULE-1)';
COMMENT ON COLUMN tidelog.conflicts.position IS 'The position of the later one of its two events. The id of a conflict is <position>.<field>';
COMMENT ON COLUMN tidelog.conflicts.winner_position IS 'The event that won; 0 if no event opposed the loser';
COMMENT ON COLUMN tidelog.conflicts.closed_position IS 'The event that resolved or overtook the conflict; 0 if none did';
COMMENT ON COLUMN tidelog.conflicts.field IS 'The field; empty if a delete lost';
COMMENT ON COLUMN tidelog.conflicts.winner_value IS 'As MessagePack; null if the winner is a delete, or has no value for the field';
COMMENT ON TABLE tidelog.digests IS 'A 128-bit digest of the live records of each table and scope, for replicas to compare with their own';
COMMENT ON COLUMN tidelog.digests.records IS 'The number of live records';
COMMENT ON COLUMN tidelog.digests.high IS 'The upper 64 bits of the exclusive or of the hashes of the records; low has the lower 64 bits';
COMMENT ON COLUMN tidelog.digests.scope IS 'The scope; * for all scopes of the table together, since no scope has that name';
COMMENT ON SCHEMA log IS 'Readable views of the events and the conflicts';
COMMENT ON FUNCTION log.float_to_json IS 'A float as a JSON number with a fraction, in the fewest digits that read back as the same float';
COMMENT ON FUNCTION tidelog.msgpack_to_jsonb IS 'Fields or a value in MessagePack as jsonb. Floats keep a fraction (5.0), binary becomes {"$binary": base64}, no bytes become null';
COMMENT ON FUNCTION tidelog.time_of IS 'A text in the format of RFC 3339 as a time, to the millisecond; null if the text is not a time';
COMMENT ON FUNCTION tidelog.time_of_ms IS 'Milliseconds since 1970 as a time, without rounding';
COMMENT ON TABLE tidelog.readmitted IS 'The rejected events that were readmitted, each at most once';
COMMENT ON COLUMN tidelog.readmitted.position IS 'The position of the rejected event';
COMMENT ON COLUMN tidelog.readmitted.readmitted_position IS 'The position of the event of the system device that does what the rejected one was meant to do';
COMMENT ON VIEW tidelog.live_records IS 'The records of the live generation that are not deleted. The views of the catalog''s tables select from it';
COMMENT ON VIEW log.events IS 'Every event of every log, including the rejected ones';
COMMENT ON COLUMN log.events.workspace IS 'The workspace whose log the event is in';
COMMENT ON COLUMN log.events.position IS 'The place of the event in the log: 1, 2, 3 and so on without gaps, in the order in which the server stored the events';
COMMENT ON COLUMN log.events.device IS 'The device that made the event; the nil UUID is the server';
COMMENT ON COLUMN log.events.seq IS 'The device''s own number of the event: 1, 2, 3 and so on without gaps, in the order in which the device made its events';
COMMENT ON COLUMN log.events."table" IS 'The table of the record; _catalog if the event changes the catalog';
COMMENT ON COLUMN log.events.record IS 'The id of the record within its table and scope';
COMMENT ON COLUMN log.events.scope IS 'The scope of the record; the empty scope belongs to everyone';
COMMENT ON COLUMN log.events.fields IS 'The fields that the event sets; null for a delete, and if they were too large to keep';
COMMENT ON COLUMN log.events.base IS 'The position up to which the device had taken in everything when it made the event: it did not know of later events of other devices';
COMMENT ON COLUMN log.events.at IS 'When the device made the event, by the device''s clock';
COMMENT ON COLUMN log.events.received_at IS 'When the server stored the event; never decreases within a log';
COMMENT ON COLUMN log.events.role IS 'The role of the device when it pushed; for an event of the server, the role of the caller for whom the server made it';
COMMENT ON COLUMN log.events.actor IS 'The person who used the device, if the app names one';
COMMENT ON COLUMN log.events.conflict IS 'The id of the conflict that a resolve settles';
COMMENT ON COLUMN log.events.rejected IS 'The code for which the event was rejected; null if it was not';
COMMENT ON VIEW log.conflicts IS 'The conflicts: a row for every value that lost, with what it lost to';
COMMENT ON COLUMN log.conflicts.workspace IS 'The workspace in whose log the two events are';
COMMENT ON COLUMN log.conflicts.conflict IS 'The id of the conflict: <position>.<field>';
COMMENT ON COLUMN log.conflicts.position IS 'The position of the later event, which may be the winner or the loser';
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
