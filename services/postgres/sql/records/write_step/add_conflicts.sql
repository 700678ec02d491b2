-- Inserts new conflicts. An empty value is stored as null. Relies on conflicts_pkey.
INSERT INTO tidelog.conflicts (workspace, table_set, position, field, status, rule, table_name, scope, record,
    winner_position, winner_deleted, winner_value, loser_position, loser_deleted, loser_value, beaten_by_position, closed_position)
SELECT $1, $2, c.position, c.field, c.status, c.rule, c.table_name, c.scope, c.record,
    c.winner_position, c.winner_deleted, nullif(c.winner_value, ''),
    c.loser_position, c.loser_deleted, nullif(c.loser_value, ''), c.beaten_by_position, 0
FROM unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
    $10::bigint[], $11::boolean[], $12::bytea[], $13::bigint[], $14::boolean[], $15::bytea[], $16::bigint[])
    AS c (position, field, status, rule, table_name, scope, record,
    winner_position, winner_deleted, winner_value, loser_position, loser_deleted, loser_value,
    beaten_by_position)
