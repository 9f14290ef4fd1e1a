-- Into the highest level in which anybody waits, before the first that ever was: nobody's priority can be out of reach.
-- Differs from SQLite's because several may be moved at once, and because one statement is one transaction: it writes the
-- log, too.
WITH moved AS (
  UPDATE job SET
    asked_priority = COALESCE(asked_priority, priority),
    priority = (SELECT MAX(priority) FROM queue_count WHERE span = 0),
    seq = nextval('job_front')
  WHERE id = :id AND state = 'queued'
  RETURNING id
), noted AS (
  INSERT INTO job_log (job_id, at, level, message) SELECT id, :now, 'INFO', :message FROM moved
)
SELECT id FROM moved
