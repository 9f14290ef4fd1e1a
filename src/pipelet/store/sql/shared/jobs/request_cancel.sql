-- If the attempt is cut short before its worker learns of the cancel, no other starts.
UPDATE job
SET cancel_requested_at = COALESCE(cancel_requested_at, :now), start_deadline = :now,
    cancelled_by = COALESCE(cancelled_by, :cancelled_by)
WHERE id = :id AND state = 'running'
RETURNING id
