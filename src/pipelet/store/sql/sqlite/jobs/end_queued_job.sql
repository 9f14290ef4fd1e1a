UPDATE job
SET state = :state, finished_at = :now, failure_kind = :failure_kind, failure_message = :failure_message,
    cancelled_by = COALESCE(cancelled_by, :cancelled_by)
WHERE id = :id AND state = 'queued'
RETURNING id
