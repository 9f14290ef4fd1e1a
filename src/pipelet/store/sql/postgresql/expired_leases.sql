-- One, and locked: its worker cannot extend it between this look and what follows.
SELECT * FROM job
WHERE state = 'running' AND lease_expires_at <= :now
ORDER BY lease_expires_at
LIMIT 1
FOR UPDATE SKIP LOCKED
