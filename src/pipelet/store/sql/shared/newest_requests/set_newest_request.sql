INSERT INTO newest_request (owner, api, job_id) VALUES (:owner, :api, :job_id)
ON CONFLICT (owner, api) DO UPDATE SET job_id = excluded.job_id
