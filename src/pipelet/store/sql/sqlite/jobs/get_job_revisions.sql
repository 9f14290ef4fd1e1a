SELECT job.id, state, attempt, started_at, tasks_done, tasks_total, priority, seq, kept, retried_as,
       (SELECT COUNT(*) FROM job_log WHERE job_id = job.id) AS log_entries
FROM json_each(:ids) AS wanted JOIN job ON job.id = wanted.value
