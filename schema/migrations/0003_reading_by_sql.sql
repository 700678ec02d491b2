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
