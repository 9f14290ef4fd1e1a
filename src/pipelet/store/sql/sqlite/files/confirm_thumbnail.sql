UPDATE file SET delete_after = NULL
WHERE key = :key AND job_id = :job_id AND EXISTS (SELECT 1 FROM job WHERE job.id = :job_id)
RETURNING key
