-- It keeps its seq, so it is the first of its priority level again.
UPDATE job
SET state = 'queued', attempt = :attempt, started_at = NULL, worker = NULL, tasks_done = NULL, tasks_total = NULL,
    lease_token = NULL, lease_expires_at = NULL
WHERE id = :id AND lease_token = :token
RETURNING id
