-- Differs from SQLite's because claims run concurrently: each skips the rows that others are taking. It takes from one app
-- only: otherwise a claim would hold the heads of all wanted apps for a moment, and others would find those queues empty.
WITH head AS MATERIALIZED (
  SELECT seq FROM job
  WHERE state = 'queued' AND app = :app AND quota_limited = false
    AND id <> ALL (:exclude_ids::text[]) AND COALESCE(start_deadline > :now, true)
  ORDER BY priority DESC, turn, seq
  LIMIT 1
  FOR UPDATE SKIP LOCKED
), claimed AS (
  UPDATE job
  SET state = 'running', attempt = attempt + 1, started_at = :now,
      worker = :worker, lease_token = :token, lease_expires_at = :expires_at
  FROM head
  WHERE job.seq = head.seq
  RETURNING job.*
), logged AS (
  INSERT INTO job_log (job_id, at, level, message)
  SELECT id, :now, 'INFO', format(:message, attempt) FROM claimed
)
SELECT * FROM claimed
