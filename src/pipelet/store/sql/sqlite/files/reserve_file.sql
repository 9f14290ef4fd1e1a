INSERT INTO file (key, job_id, lease_token) VALUES (:key, :job_id, :token)
