UPDATE job
SET state = :state, finished_at = :now, failure_kind = :failure_kind, failure_message = :failure_message
WHERE id = :id AND state = 'queued'
RETURNING id
