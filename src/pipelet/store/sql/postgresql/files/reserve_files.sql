INSERT INTO file (key, job_id, lease_token)
SELECT wanted.key, job.id, job.lease_token
FROM job CROSS JOIN unnest(:keys::text[]) AS wanted (key)
WHERE job.id = :id AND job.lease_token = :token
RETURNING key
