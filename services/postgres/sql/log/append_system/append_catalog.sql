-- Takes the lock of a log, and appends to it the _catalog event that it lacks, if it lacks one; see the function. Relies
-- on heads_pkey and both keys of the log.
SELECT tidelog.append_catalog($1, $2)
