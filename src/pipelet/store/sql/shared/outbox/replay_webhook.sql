UPDATE webhook_delivery SET state = 'waiting', due_at = :now, attempts = 0, lease_token = NULL
WHERE job_id = :job_id AND (lease_token IS NULL OR due_at <= :now)
RETURNING job_id
