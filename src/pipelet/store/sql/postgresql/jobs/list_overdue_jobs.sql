-- Jobs that may not start any more: their deadline has passed, or their attempt was cut short after a cancel request.
-- Differs from SQLite's because several processes query at the same time: rows are locked, and those that a claim has locked
-- are skipped.
SELECT id, cancel_requested_at FROM job
WHERE state = 'queued' AND start_deadline <= :now
ORDER BY start_deadline
LIMIT :limit
FOR UPDATE SKIP LOCKED
