-- One job, and locked, as in `list_expired_leases`.
SELECT * FROM job
WHERE state = 'running' AND worker = :worker
LIMIT 1
FOR UPDATE SKIP LOCKED
