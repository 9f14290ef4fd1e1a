UPDATE webhook SET lease_token = :token, due_at = :expires_at, tries = tries + 1
WHERE job_id = :job_id AND due_at <= :now
RETURNING job_id, owner, receiver, tries
