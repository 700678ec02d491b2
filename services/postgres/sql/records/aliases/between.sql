-- Reads the earlier names that _devices events after $2 and up to $3 gave to devices, in the order of the log. Relies on
-- device_changes_replaces.
SELECT position, device, replaces, replaces_through
FROM tidelog.device_changes
WHERE workspace = $1 AND position > $2 AND position <= $3 AND replaces IS NOT NULL
ORDER BY position
