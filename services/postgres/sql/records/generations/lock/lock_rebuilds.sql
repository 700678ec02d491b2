-- Takes the right to make and drop generations for as long as the connection lasts, unless somebody has it. Relies on no
-- index: an advisory lock.
SELECT pg_try_advisory_lock($1)
