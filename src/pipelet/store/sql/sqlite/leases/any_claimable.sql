-- Whether `claim_job` would find a job.
SELECT EXISTS (
  SELECT 1 FROM json_each(:apps) AS wanted
  WHERE wanted.value NOT IN (SELECT app FROM paused_app) AND EXISTS (
    SELECT 1 FROM job
    WHERE state = 'queued' AND app = wanted.value AND id NOT IN (SELECT value FROM json_each(:exclude_ids))
      AND COALESCE(start_deadline > :now, true)
      AND NOT (quota_limited AND EXISTS (
        SELECT 1 FROM api_key WHERE api_key.id = job.key_id AND running_images + job.image_count > max_running_images
      ))
  )
)
