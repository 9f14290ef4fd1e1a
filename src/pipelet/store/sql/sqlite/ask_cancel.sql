-- Should its attempt be cut short before the worker hears of it, no other may begin.
UPDATE job SET cancel_asked_at = COALESCE(cancel_asked_at, :now), start_by = :now
WHERE id = :id AND state = 'running'
RETURNING id
