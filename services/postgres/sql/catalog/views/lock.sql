-- Locks the views until the transaction ends, so that one process at a time makes them and never from an older catalog.
-- Relies on no index: an advisory lock.
SELECT pg_advisory_xact_lock($1)
