-- Ends an attempt that still holds its lease: the job gets its final state, or returns to the queue. It keeps its `seq`, so
-- it is the first of its priority again.
-- Differs from SQLite's because one statement is one transaction and one round trip: it writes files and log, too.
WITH ended AS (
  UPDATE job
  SET state = :state, attempt = :attempt, finished_at = :finished_at, lease_token = NULL, lease_expires_at = NULL,
      images = :images, finished_images = :finished_images, inference_seconds = :inference_seconds,
      failure_kind = :failure_kind, failure_message = :failure_message,
      started_at = CASE WHEN :state::text <> 'queued' THEN started_at END,
      worker = CASE WHEN :state::text <> 'queued' THEN worker END,
      tasks_done = CASE :state::text WHEN 'queued' THEN NULL WHEN 'succeeded' THEN tasks_total ELSE tasks_done END,
      tasks_total = CASE WHEN :state::text <> 'queued' THEN tasks_total END
  WHERE id = :id AND lease_token = :token
  RETURNING id
), released AS (
  -- Files that belong to no result. Not deleted at once: an attempt that lost its lease may still be writing.
  UPDATE file SET delete_after = :delete_after
  FROM ended
  WHERE file.job_id = ended.id AND file.lease_token = :token AND file.key <> ALL(:kept::text[])
), logged AS (
  INSERT INTO job_log (job_id, at, level, message) SELECT id, :now, :level, :message FROM ended
)
SELECT id FROM ended
