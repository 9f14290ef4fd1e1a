-- What the operator has kept long enough, and what its user wanted kept for less. The latter goes with its webhook: until that
-- is delivered or given up it stays, and is only answered as forgotten.
DELETE FROM job
WHERE seq IN (
  SELECT seq FROM (SELECT seq FROM job WHERE finished_at < :before ORDER BY finished_at LIMIT :limit)
  UNION ALL
  SELECT seq FROM (
    SELECT seq FROM job
    WHERE finished_at IS NOT NULL AND keep_seconds IS NOT NULL AND finished_at + keep_seconds <= :now
      AND NOT EXISTS (SELECT 1 FROM webhook WHERE webhook.job_id = job.id AND webhook.due_at IS NOT NULL)
    ORDER BY finished_at + keep_seconds LIMIT :limit
  )
)
RETURNING id
