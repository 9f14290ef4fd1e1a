-- Differs from SQLite's because lists come as arrays.
SELECT id, state, attempt, started_at, tasks_done, tasks_total, priority, seq, kept, retried_as,
       (SELECT COUNT(*) FROM job_log WHERE job_id = job.id) AS log_entries
FROM job
WHERE id = ANY(:ids::text[])
