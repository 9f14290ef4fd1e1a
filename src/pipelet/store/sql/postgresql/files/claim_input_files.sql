-- Makes stored files part of a new job, next to the jobs that already start from them.
-- Differs from SQLite's because maintenance may query at the same time: rows that it may have seen are left to it. They are
-- locked in the order of `delete_job_input_files`, so that no two transactions wait for each other.
WITH wanted AS MATERIALIZED (
  SELECT key FROM file WHERE key = ANY(:keys::text[]) ORDER BY key FOR UPDATE
), claimed AS (
  UPDATE file SET job_id = '', delete_after = NULL
  FROM wanted
  WHERE file.key = wanted.key AND (delete_after IS NULL OR delete_after > :claimable_until)
  RETURNING file.key
), added AS (
  INSERT INTO job_input_file (job_id, key) SELECT :job_id, key FROM claimed ON CONFLICT DO NOTHING
)
SELECT key FROM claimed
