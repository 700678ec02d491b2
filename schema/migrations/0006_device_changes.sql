-- Who a device is stands in the log, by _devices events; this finds them without reading the log. A generation of the
-- records says in which form their states are, so that a server which folds by newer rules makes them again by itself
-- (docs/adr/0026). Conflicts say what beat an op that lost as a whole.

CREATE TABLE tidelog.device_changes (
    workspace uuid NOT NULL,
    device uuid NOT NULL,
    position bigint NOT NULL,
    replaces uuid,
    replaces_through bigint,
    PRIMARY KEY (workspace, position)
);
CREATE INDEX device_changes_replaces ON tidelog.device_changes (workspace, position) WHERE replaces IS NOT NULL;
COMMENT ON TABLE tidelog.device_changes IS 'The _devices events: a row for each, written in the transaction that appends it';
COMMENT ON COLUMN tidelog.device_changes.position IS 'The position of the event';
COMMENT ON COLUMN tidelog.device_changes.replaces IS 'The device whose ops the device made under its old name; null if the event names none';
COMMENT ON COLUMN tidelog.device_changes.replaces_through IS 'The last seq of these ops; null if the event names no other device';
GRANT SELECT, INSERT ON tidelog.device_changes TO tidelog_service;

-- A server from before this migration folds states of form 3 and moves position alone, so the check refuses its step on
-- a generation of a later form. It goes on folding generations of form 3.
ALTER TABLE tidelog.checkpoints
    ADD COLUMN folded_position bigint NOT NULL DEFAULT 0,
    ADD COLUMN state_form smallint NOT NULL DEFAULT 3,
    ADD CONSTRAINT checkpoints_state_form CHECK (state_form = 3 OR folded_position = position);
COMMENT ON COLUMN tidelog.checkpoints.state_form IS 'The form in which records.state is stored in this generation, and with it the rules of the fold';
COMMENT ON COLUMN tidelog.checkpoints.folded_position IS 'The same as position, moved only by servers that know state_form';

ALTER TABLE tidelog.conflicts ADD COLUMN beaten_by_position bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN tidelog.conflicts.beaten_by_position IS 'The event that beat the op, if the op lost as a whole under granularity record; 0 if not';
