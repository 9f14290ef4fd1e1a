-- Only one process at a time adds entries up or samples: two that touch the same rows could wait for each other.
SELECT pg_try_advisory_xact_lock(hashtext('pipelet.usage'), 0) AS is_locked
