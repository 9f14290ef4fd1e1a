-- An input file belongs to no attempt, so the token is empty. It is deleted later, unless a submit claims it.
INSERT INTO file (key, job_id, lease_token, delete_after, owner, bytes)
SELECT value, :job_id, '', :delete_after, :owner, :bytes FROM json_each(:keys)
