-- Differs from SQLite's because one statement is one transaction and one round trip: it writes the log, too.
WITH ended AS (
  UPDATE job
  SET state = :state, finished_at = :now, failure_kind = :failure_kind, failure_message = :failure_message,
      cancelled_by = COALESCE(cancelled_by, :cancelled_by)
  WHERE id = :id AND state = 'queued'
  RETURNING id
), logged AS (
  INSERT INTO job_log (job_id, at, level, message) SELECT id, :now, :level, :message FROM ended
)
SELECT id FROM ended
