-- An input file belongs to no attempt, so the token is empty. It is deleted later, unless a submit claims it.
-- Differs from SQLite's because it may be sent again after a connection broke.
INSERT INTO file (key, job_id, lease_token, delete_after, owner, bytes)
SELECT wanted.key, :job_id, '', :delete_after, :owner, :bytes
FROM unnest(:keys::text[]) AS wanted (key)
ON CONFLICT (key) DO NOTHING
