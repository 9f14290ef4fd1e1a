-- To the highest priority that any job waits with, before the first job there. A still higher priority might not exist.
-- Differs from SQLite's because several may be moved at once, and because one statement is one transaction: it writes the
-- log, too.
WITH moved AS (
  UPDATE job SET
    requested_priority = COALESCE(requested_priority, priority),
    priority = (SELECT MAX(priority) FROM queue_count WHERE level = 0),
    seq = nextval('job_front')
  WHERE id = :id AND state = 'queued'
  RETURNING id
), logged AS (
  INSERT INTO job_log (job_id, at, level, message) SELECT id, :now, 'INFO', :message FROM moved
)
SELECT id FROM moved
