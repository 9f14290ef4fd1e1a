DELETE FROM preview WHERE wanted_until < :before RETURNING job_id
