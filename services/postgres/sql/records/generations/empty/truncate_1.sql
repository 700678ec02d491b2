-- Empties the tables of set 1, whatever they hold. Relies on nothing: whoever calls it has seen that nobody has a checkpoint there.
TRUNCATE tidelog.records_1, tidelog.record_events_1, tidelog.verdicts_1, tidelog.conflicts_1, tidelog.digests_1
