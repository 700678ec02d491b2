-- Empties the tables of set 0, whatever they hold. Relies on nothing: whoever calls it has seen that nobody has a checkpoint there.
TRUNCATE tidelog.records_0, tidelog.record_events_0, tidelog.verdicts_0, tidelog.conflicts_0, tidelog.digests_0
