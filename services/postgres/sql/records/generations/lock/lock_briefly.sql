-- Makes this transaction give up a lock it cannot have at once: whoever comes behind it would wait too. Relies on no index.
SELECT set_config('lock_timeout', '100ms', true)
