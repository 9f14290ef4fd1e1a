-- A file of a request that has ended. It is deleted later, unless it is confirmed. No row: it is stored already, or the
-- request is gone.
INSERT INTO file AS known (key, job_id, lease_token, delete_after, owner, bytes)
SELECT CAST(:key AS text), job.id, '', CAST(:delete_after AS double precision), job.owner, CAST(:size AS bigint)
FROM job
WHERE job.id = :job_id AND job.finished_at IS NOT NULL
ON CONFLICT (key) DO UPDATE SET delete_after = excluded.delete_after WHERE known.delete_after IS NOT NULL
RETURNING key
