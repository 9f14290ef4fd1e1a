DELETE FROM idempotency_key WHERE job_id = :id
