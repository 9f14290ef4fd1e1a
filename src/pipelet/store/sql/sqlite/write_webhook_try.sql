INSERT INTO webhook_try (job_id, at, seconds, code, error) VALUES (:job_id, :at, :seconds, :code, :error)
