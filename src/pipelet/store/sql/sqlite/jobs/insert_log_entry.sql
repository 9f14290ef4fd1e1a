INSERT INTO job_log (job_id, at, level, message) VALUES (:job_id, :at, :level, :message)
