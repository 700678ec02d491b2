-- Sends wake-up hints to other processes. Not part of an append's transaction, since a commit with notifications takes
-- a lock of the whole server. Relies on no index.
SELECT pg_notify('tidelog', notice) FROM unnest($1::text[]) AS n (notice)
