-- Jobs that are past the operator's retention time, and jobs that are past their own, shorter one. The latter stay until
-- their webhook is delivered or has failed; until then they are only reported as expired.
-- Jobs that are kept stay.
-- Differs from SQLite's because several processes prune at the same time: each takes rows that no other is taking.
WITH old AS MATERIALIZED (
  SELECT seq FROM job WHERE finished_at < :before AND NOT kept ORDER BY finished_at LIMIT :limit FOR UPDATE SKIP LOCKED
), early AS MATERIALIZED (
  SELECT seq FROM job
  WHERE finished_at IS NOT NULL AND retention_seconds IS NOT NULL AND finished_at + retention_seconds <= :now
    AND NOT kept
    AND NOT EXISTS (
      SELECT 1 FROM webhook_delivery WHERE webhook_delivery.job_id = job.id AND webhook_delivery.due_at IS NOT NULL
    )
  ORDER BY finished_at + retention_seconds LIMIT :limit
  FOR UPDATE SKIP LOCKED
), deleted AS (
  DELETE FROM job USING (SELECT seq FROM old UNION SELECT seq FROM early) AS due WHERE job.seq = due.seq RETURNING job.id
), released AS (
  UPDATE file SET delete_after = :now FROM deleted WHERE file.job_id = deleted.id
)
SELECT id FROM deleted
