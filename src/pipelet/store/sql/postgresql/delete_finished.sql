-- Differs from SQLite's because several processes clear up at once: each takes rows that no other is taking.
WITH old AS MATERIALIZED (
  SELECT seq FROM job WHERE finished_at < :before ORDER BY finished_at LIMIT :limit FOR UPDATE SKIP LOCKED
), gone AS (
  DELETE FROM job USING old WHERE job.seq = old.seq RETURNING job.id
), released AS (
  UPDATE file SET delete_after = :now FROM gone WHERE file.job_id = gone.id
)
SELECT id FROM gone
