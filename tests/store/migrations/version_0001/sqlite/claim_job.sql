-- The head of each wanted app's queue, one step into its index; then the first of these heads. Jobs of a key that would then
-- run more images than it may are skipped; for all other keys, `quota_limited` in the row itself saves the lookup.
UPDATE job
SET state = 'running', attempt = attempt + 1, started_at = :now,
    worker = :worker, lease_token = :token, lease_expires_at = :expires_at
WHERE seq = (
  SELECT head.seq
  FROM json_each(:apps) AS wanted
  JOIN job AS head ON head.seq = (
    SELECT seq FROM job
    WHERE state = 'queued' AND app = wanted.value AND id NOT IN (SELECT value FROM json_each(:exclude_ids))
      AND COALESCE(start_deadline > :now, true)
      AND NOT (quota_limited AND EXISTS (
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
