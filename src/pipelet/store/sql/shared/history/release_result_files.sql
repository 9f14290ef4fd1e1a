-- Files of an attempt that was cut short keep their later date: it may still be writing them.
UPDATE file SET delete_after = :now WHERE job_id = :id AND delete_after IS NULL
