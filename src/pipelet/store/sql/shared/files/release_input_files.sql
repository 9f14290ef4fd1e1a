UPDATE file SET delete_after = :now WHERE job_id = :job_id AND lease_token = '' AND delete_after IS NOT NULL
RETURNING key
