-- Takes the right to build and drop generations for as long as the connection lasts, unless another connection has it.
-- Relies on no index: an advisory lock.
SELECT pg_try_advisory_lock($1)
