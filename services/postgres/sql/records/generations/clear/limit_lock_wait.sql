-- Makes this transaction give up a lock that it does not get at once, since everybody who came after it would wait too.
-- Relies on no index.
SELECT set_config('lock_timeout', '100ms', true)
