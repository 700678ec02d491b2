-- Empties the tables of set 1. Relies on no index, but on the caller: no workspace may have a checkpoint in the set.
TRUNCATE tidelog.records_1, tidelog.record_events_1, tidelog.verdicts_1, tidelog.conflicts_1, tidelog.digests_1
