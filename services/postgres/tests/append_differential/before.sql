-- tidelog.append as it was up to migration 0004, to compare its successors with. It replaces the function of the same
-- signature, which forwards to them. The comments and the code are left as they were.

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
