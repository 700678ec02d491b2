-- Gives the right to make and drop generations back. Relies on no index: an advisory lock.
SELECT pg_advisory_unlock($1)
