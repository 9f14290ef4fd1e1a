-- Whether `claim_job` would find one.
SELECT EXISTS (
  SELECT 1 FROM json_each(:apps) AS wanted
  WHERE wanted.value NOT IN (SELECT app FROM paused_app) AND EXISTS (
    SELECT 1 FROM job
    WHERE state = 'queued' AND app = wanted.value AND id NOT IN (SELECT value FROM json_each(:passed_over))
      AND COALESCE(start_by > :now, true)
      AND NOT (limited AND EXISTS (
        SELECT 1 FROM api_key WHERE api_key.id = job.key_id AND running_images + job.image_count > max_running_images
      ))
  )
)
