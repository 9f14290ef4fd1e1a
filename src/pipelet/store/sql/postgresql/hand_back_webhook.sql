UPDATE webhook SET due_at = :now, tries = tries - 1, lease_token = NULL WHERE job_id = :job_id AND lease_token = :token
