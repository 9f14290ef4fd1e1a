UPDATE file SET delete_after = :now WHERE job_id = :job_id
