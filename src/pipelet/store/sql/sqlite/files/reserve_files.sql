INSERT INTO file (key, job_id, lease_token)
SELECT wanted.value, job.id, job.lease_token
FROM job CROSS JOIN json_each(:keys) AS wanted
WHERE job.id = :id AND job.lease_token = :token
RETURNING key
