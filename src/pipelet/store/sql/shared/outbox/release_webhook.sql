UPDATE webhook_delivery SET due_at = :now, attempts = attempts - 1, lease_token = NULL
WHERE job_id = :job_id AND lease_token = :token
