UPDATE webhook_event SET lease_token = :token, due_at = :expires_at, changed = 0, attempts = attempts + 1
WHERE job_id = :job_id AND event = :event AND changed AND due_at <= :now
RETURNING job_id, owner, endpoint, attempts, event
