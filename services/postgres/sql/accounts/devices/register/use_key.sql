-- Counts one registration against a key, or updates nothing if a limit of the key forbids it. Relies on
-- enrollment_keys_pkey.
UPDATE tidelog.enrollment_keys
SET registrations = registrations + 1,
    registrations_this_hour = CASE WHEN $3 - hour_started_at_ms >= 3600000 THEN 1 ELSE registrations_this_hour + 1 END,
    hour_started_at_ms = CASE WHEN $3 - hour_started_at_ms >= 3600000 THEN $3 ELSE hour_started_at_ms END
WHERE workspace = $1 AND enrollment_key = $2 AND revoked_at_ms IS NULL
    AND (expires_at_ms IS NULL OR expires_at_ms > $3)
    AND (registrations_max IS NULL OR registrations < registrations_max)
    AND (registrations_per_hour IS NULL OR $3 - hour_started_at_ms >= 3600000
        OR registrations_this_hour < registrations_per_hour)
RETURNING role, scopes
