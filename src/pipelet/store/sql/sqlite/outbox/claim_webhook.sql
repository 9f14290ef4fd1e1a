UPDATE webhook_delivery SET lease_token = :token, due_at = :expires_at, attempts = attempts + 1
WHERE job_id = :job_id AND due_at <= :now
RETURNING job_id, owner, endpoint, attempts
