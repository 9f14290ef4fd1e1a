-- The head of each wanted app's queue, one step into its index; then the first of these heads. Passed over are requests of a
-- key that would then run more images than it may: for all other keys, `limited` in the row itself says that nobody need ask.
UPDATE job
SET state = 'running', attempt = attempt + 1, started_at = :now,
    worker = :worker, lease_token = :token, lease_expires_at = :expires_at
WHERE seq = (
  SELECT head.seq
  FROM json_each(:apps) AS wanted
  JOIN job AS head ON head.seq = (
    SELECT seq FROM job
    WHERE state = 'queued' AND app = wanted.value AND id NOT IN (SELECT value FROM json_each(:passed_over))
      AND COALESCE(start_by > :now, true)
      AND NOT (limited AND EXISTS (
        SELECT 1 FROM api_key WHERE api_key.id = job.key_id AND running_images + job.image_count > max_running_images
      ))
    ORDER BY priority DESC, seq
    LIMIT 1
  )
  WHERE wanted.value NOT IN (SELECT app FROM paused_app)
  ORDER BY head.priority DESC, head.seq
  LIMIT 1
)
RETURNING *
