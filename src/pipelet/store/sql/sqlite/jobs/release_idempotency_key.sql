-- The key of a request that was refused after all.
DELETE FROM idempotency_key WHERE owner = :owner AND key = :key AND job_id = :job_id
