-- Gives back the right to build and drop generations. Relies on no index: an advisory lock.
SELECT pg_advisory_unlock($1)
