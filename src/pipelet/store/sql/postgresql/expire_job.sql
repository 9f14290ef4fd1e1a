-- Differs from SQLite's because one statement is one transaction, and one trip to the server: it writes the log, too.
WITH expired AS (
  UPDATE job
  SET state = 'failed', finished_at = :now, failure_kind = :failure_kind, failure_message = :failure_message
  WHERE id = :id AND state = 'queued'
  RETURNING id
), noted AS (
  INSERT INTO job_log (job_id, at, level, message) SELECT id, :now, 'ERROR', :message FROM expired
)
SELECT id FROM expired
