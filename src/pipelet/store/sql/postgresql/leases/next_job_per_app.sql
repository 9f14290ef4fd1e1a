-- The first job of each wanted app that may start now, the one whose turn it is first.
SELECT head.app, head.quota_limited
FROM unnest(:apps::text[]) AS wanted (app)
CROSS JOIN LATERAL (
  SELECT app, priority, seq, quota_limited FROM job
  WHERE state = 'queued' AND app = wanted.app AND id <> ALL (:exclude_ids::text[])
    AND COALESCE(start_deadline > :now, true)
    AND NOT (quota_limited AND EXISTS (
      SELECT 1 FROM api_key WHERE api_key.id = job.key_id AND running_images + job.image_count > max_running_images
    ))
  ORDER BY priority DESC, seq
  LIMIT 1
) AS head
WHERE NOT EXISTS (SELECT 1 FROM paused_app WHERE paused_app.app = wanted.app)
ORDER BY head.priority DESC, head.seq
