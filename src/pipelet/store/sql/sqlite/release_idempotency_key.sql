-- Of a request that was not taken after all.
DELETE FROM idempotency_key WHERE owner = :owner AND key = :key AND job_id = :job_id
