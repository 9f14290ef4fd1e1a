-- Jobs that may not start any more: their deadline has passed, or their attempt was cut short after a cancel request.
SELECT id, cancel_requested_at FROM job
WHERE state = 'queued' AND start_deadline <= :now
ORDER BY start_deadline
LIMIT :limit
