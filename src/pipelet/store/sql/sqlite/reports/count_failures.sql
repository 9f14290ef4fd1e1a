-- A message that repeats the prompt is counted, and shown, without it.
SELECT app, error_type, message, worker, COUNT(*) AS requests, COUNT(retried_as) AS retried,
       MIN(submitted_at) AS first_submitted_at, MIN(finished_at) AS first_seen_at, MAX(finished_at) AS last_seen_at
FROM (
  SELECT app, failure_kind AS error_type, worker, submitted_at, finished_at, retried_as,
         replace(replace(failure_message, json_extract(spec, '$.prompt'), '…'),
                 COALESCE(json_extract(spec, '$.negative_prompt'), ''), '…') AS message
  FROM job
  WHERE state = 'failed' AND finished_at > :since
  ORDER BY finished_at DESC
  LIMIT :limit
)
GROUP BY app, error_type, message, worker
