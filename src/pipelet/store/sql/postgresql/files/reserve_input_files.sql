-- An input file belongs to no attempt, so the token is empty. It is deleted later, unless a submit claims it.
-- Differs from SQLite's because it may be sent again after a connection broke.
INSERT INTO file (key, job_id, lease_token, delete_after)
SELECT wanted.key, :job_id, '', :delete_after
FROM unnest(:keys::text[]) AS wanted (key)
ON CONFLICT (key) DO NOTHING
