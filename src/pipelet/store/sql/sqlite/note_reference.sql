-- A reference belongs to no attempt, so the token is empty. It is deleted in time, unless a submit takes it.
INSERT INTO file (key, job_id, lease_token, delete_after) VALUES (:key, :job_id, '', :delete_after)
