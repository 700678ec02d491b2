-- Tells other processes what moved. A hint: readers also poll. In a transaction of its own, since a commit with
-- notifications takes a lock of the whole server.
SELECT pg_notify('tidelog', notice) FROM unnest($1::text[]) AS n (notice)
