-- The head of each wanted app's queue, one step into its index; then the first of these heads.
UPDATE job
SET state = 'running', attempt = attempt + 1, started_at = :now,
    worker = :worker, lease_token = :token, lease_expires_at = :expires_at
WHERE seq = (
  SELECT head.seq
  FROM json_each(:apps) AS wanted
  JOIN job AS head ON head.seq = (
    SELECT seq FROM job
    WHERE state = 'queued' AND app = wanted.value
    ORDER BY priority DESC, seq
    LIMIT 1
  )
  ORDER BY head.priority DESC, head.seq
  LIMIT 1
)
RETURNING *
