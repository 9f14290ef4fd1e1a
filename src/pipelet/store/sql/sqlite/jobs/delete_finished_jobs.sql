-- Jobs that are past the operator's retention time, and jobs that are past their own, shorter one. The latter stay until
-- their webhook is delivered or has failed; until then they are only reported as expired.
-- Jobs that are kept stay.
DELETE FROM job
WHERE seq IN (
  SELECT seq FROM (SELECT seq FROM job WHERE finished_at < :before AND NOT kept ORDER BY finished_at LIMIT :limit)
  UNION ALL
  SELECT seq FROM (
    SELECT seq FROM job
    WHERE finished_at IS NOT NULL AND retention_seconds IS NOT NULL AND finished_at + retention_seconds <= :now
      AND NOT kept
      AND NOT EXISTS (
        SELECT 1 FROM webhook_delivery WHERE webhook_delivery.job_id = job.id AND webhook_delivery.due_at IS NOT NULL
      )
    ORDER BY finished_at + retention_seconds LIMIT :limit
  )
)
RETURNING id
