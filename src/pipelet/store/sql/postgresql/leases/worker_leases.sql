-- One job, and locked, as in `expired_leases`.
SELECT * FROM job
WHERE state = 'running' AND worker = :worker
LIMIT 1
FOR UPDATE SKIP LOCKED
