-- Differs from SQLite's because the request may be deleted at the same time: that waits for this, and finds the file.
WITH owner AS MATERIALIZED (SELECT id FROM job WHERE id = :job_id FOR KEY SHARE)
UPDATE file SET delete_after = NULL FROM owner WHERE file.key = :key AND file.job_id = owner.id
RETURNING file.key
