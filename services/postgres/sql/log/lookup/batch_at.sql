-- Reads the first position of the batch that the event at a position is part of. Relies on (workspace, position).
SELECT position - batch_offset AS batch FROM tidelog.log WHERE workspace = $1 AND position BETWEEN $2 AND $2
ORDER BY position
LIMIT 1
