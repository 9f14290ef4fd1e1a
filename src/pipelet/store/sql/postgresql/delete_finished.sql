-- What the operator has kept long enough, and what its user wanted kept for less. The latter goes with its webhook: until that
-- is delivered or given up it stays, and is only answered as forgotten.
-- Differs from SQLite's because several processes clear up at once: each takes rows that no other is taking.
WITH old AS MATERIALIZED (
  SELECT seq FROM job WHERE finished_at < :before ORDER BY finished_at LIMIT :limit FOR UPDATE SKIP LOCKED
), early AS MATERIALIZED (
  SELECT seq FROM job
  WHERE finished_at IS NOT NULL AND keep_seconds IS NOT NULL AND finished_at + keep_seconds <= :now
    AND NOT EXISTS (SELECT 1 FROM webhook WHERE webhook.job_id = job.id AND webhook.due_at IS NOT NULL)
  ORDER BY finished_at + keep_seconds LIMIT :limit
  FOR UPDATE SKIP LOCKED
), gone AS (
  DELETE FROM job USING (SELECT seq FROM old UNION SELECT seq FROM early) AS due WHERE job.seq = due.seq RETURNING job.id
), released AS (
  UPDATE file SET delete_after = :now FROM gone WHERE file.job_id = gone.id
)
SELECT id FROM gone
