UPDATE webhook_delivery SET state = :state, due_at = :due_at, lease_token = NULL
WHERE job_id = :job_id AND lease_token = :token
RETURNING job_id
