-- The wanted apps that have work which may begin, the one whose turn it is first.
SELECT head.app, head.limited
FROM unnest(:apps::text[]) AS wanted (app)
CROSS JOIN LATERAL (
  SELECT app, priority, seq, limited FROM job
  WHERE state = 'queued' AND app = wanted.app AND id <> ALL (:passed_over::text[])
    AND COALESCE(start_by > :now, true)
    AND NOT (limited AND EXISTS (
      SELECT 1 FROM api_key WHERE api_key.id = job.key_id AND running_images + job.image_count > max_running_images
    ))
  ORDER BY priority DESC, seq
  LIMIT 1
) AS head
WHERE NOT EXISTS (SELECT 1 FROM paused_app WHERE paused_app.app = wanted.app)
ORDER BY head.priority DESC, head.seq
