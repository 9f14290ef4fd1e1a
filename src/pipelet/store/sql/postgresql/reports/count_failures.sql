-- Differs from SQLite's in its functions for JSON: one that reads the text once for both fields.
SELECT app, error_type, message, worker, COUNT(*) AS requests, COUNT(retried_as) AS retried,
       MIN(submitted_at) AS first_submitted_at, MIN(finished_at) AS first_seen_at, MAX(finished_at) AS last_seen_at
FROM (
  SELECT app, failure_kind AS error_type, worker, submitted_at, finished_at, retried_as,
         replace(replace(failure_message, input.prompt, '…'), COALESCE(input.negative_prompt, ''), '…') AS message
  FROM job CROSS JOIN LATERAL json_to_record(spec::json) AS input (prompt text, negative_prompt text)
  WHERE state = 'failed' AND finished_at > :since
  ORDER BY finished_at DESC
  LIMIT :limit
) AS recent
GROUP BY app, error_type, message, worker
