-- Lets one at a time make the views, to the end of its transaction: nobody else's views are of an older catalog then.
SELECT pg_advisory_xact_lock($1)
