-- Two indexes, for reads of what changed (docs/adr/0030): the rejected events of a device, which are few beside those that
-- took effect, and the conflicts in the order in which they last changed. While the first one is built, nothing is
-- appended: it reads the log once.
CREATE INDEX log_rejected ON tidelog.log (workspace, device, seq) WHERE rejected <> '';
CREATE INDEX conflicts_changed ON tidelog.conflicts
    (workspace, table_set, (greatest(position, closed_position)), position, field);
