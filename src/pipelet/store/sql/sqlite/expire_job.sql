UPDATE job
SET state = 'failed', finished_at = :now, failure_kind = :failure_kind, error_type = :error_type,
    failure_message = :failure_message
WHERE id = :id AND state = 'queued'
RETURNING id
