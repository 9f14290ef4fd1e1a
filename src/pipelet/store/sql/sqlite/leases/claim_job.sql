UPDATE job
SET state = 'running', attempt = attempt + 1, started_at = :now,
    worker = :worker, lease_token = :token, lease_expires_at = :expires_at
WHERE seq = :seq
RETURNING *
