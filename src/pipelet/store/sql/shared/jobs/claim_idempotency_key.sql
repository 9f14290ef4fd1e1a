-- Returns no row if the key already stands for a request. An expired key is free again.
INSERT INTO idempotency_key AS known (owner, key, fingerprint, job_id, expires_at)
VALUES (:owner, :key, :fingerprint, :job_id, :expires_at)
ON CONFLICT (owner, key) DO UPDATE SET
  fingerprint = excluded.fingerprint, job_id = excluded.job_id, expires_at = excluded.expires_at
WHERE known.expires_at <= :now
RETURNING job_id
