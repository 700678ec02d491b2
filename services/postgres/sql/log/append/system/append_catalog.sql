-- Locks a log, and appends the _catalog event of the catalog in force if the log lacks it; see the function. Relies on
-- heads_pkey and both keys of the log.
SELECT tidelog.append_catalog($1, $2)
