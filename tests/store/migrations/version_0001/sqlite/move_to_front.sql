-- To the highest priority that any job waits with, before the first job there. A still higher priority might not exist.
UPDATE job SET
  requested_priority = COALESCE(requested_priority, priority),
  priority = (SELECT MAX(priority) FROM queue_count WHERE level = 0),
  seq = MIN(0, (SELECT MIN(seq) FROM job)) - 1
WHERE id = :id AND state = 'queued'
RETURNING id
