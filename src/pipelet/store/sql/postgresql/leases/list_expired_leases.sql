-- One job, and locked: its worker can neither finish nor extend it between this query and the next.
-- Differs from SQLite's because several processes query at the same time: each takes a row that no other is taking.
SELECT * FROM job
WHERE state = 'running' AND lease_expires_at <= :now
ORDER BY lease_expires_at
LIMIT 1
FOR UPDATE SKIP LOCKED
