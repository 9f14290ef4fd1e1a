INSERT INTO preview (job_id, wanted_until)
SELECT id, :until FROM job WHERE id IN (SELECT value FROM json_each(:ids)) AND finished_at IS NULL
ON CONFLICT (job_id) DO UPDATE SET wanted_until = excluded.wanted_until
RETURNING job_id
