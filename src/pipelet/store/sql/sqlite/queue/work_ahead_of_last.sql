-- `work_ahead` of a request that arrives now, if none of its priority has a later turn: then it is all that waits at that
-- priority and above. No row if it is not the last. It takes half the time of `work_ahead`, and a submit needs it.
SELECT *
FROM (
  SELECT COALESCE(SUM(requests), 0) AS requests, COALESCE(SUM(steps), 0.0) AS steps,
         COALESCE(SUM(megapixels), 0.0) AS megapixels, COALESCE(SUM(megapixel_steps), 0.0) AS megapixel_steps,
         COALESCE(SUM(attention), 0.0) AS attention
  FROM json_each(:apps) AS wanted CROSS JOIN queue_run
  ON queue_run.app = wanted.value AND grain = 0 AND queue_run.priority >= :priority
)
WHERE NOT EXISTS (
  SELECT 1 FROM json_each(:apps) AS wanted CROSS JOIN job ON job.app = wanted.value
  WHERE state = 'queued' AND quota_limited IN (0, 1) AND priority = :priority AND turn > :turn
)
