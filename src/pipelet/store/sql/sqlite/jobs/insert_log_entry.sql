INSERT INTO job_log (job_id, at, level, message) VALUES (:id, :now, :level, :message)
