-- The stored verdicts of a stretch of the log. Relies on verdicts_pkey.
SELECT position, verdict, conflicts::text FROM tidelog.verdicts WHERE workspace = $1 AND position BETWEEN $2 AND $3 ORDER BY position
