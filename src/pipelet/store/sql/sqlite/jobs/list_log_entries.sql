SELECT at, level, message FROM job_log WHERE job_id = :job_id ORDER BY rowid
