INSERT INTO webhook_attempt (job_id, at, seconds, code, error) VALUES (:job_id, :at, :seconds, :code, :error)
