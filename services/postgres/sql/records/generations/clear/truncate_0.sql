-- Empties the tables of set 0. Relies on no index, but on the caller: no workspace may have a checkpoint in the set.
TRUNCATE tidelog.records_0, tidelog.record_events_0, tidelog.verdicts_0, tidelog.conflicts_0, tidelog.digests_0
