-- As SQLite's.
SELECT
  minute / :minutes * :minutes AS minute, app, MAX(queued) AS queued, MAX(oldest_seconds) AS oldest_seconds,
  MAX(running) AS running, MAX(workers) AS workers, SUM(finished)::bigint AS finished, SUM(failed)::bigint AS failed,
  COALESCE(string_agg(NULLIF(queue_wait, '{}'), ','), '') AS queue_wait,
  COALESCE(string_agg(NULLIF(total, '{}'), ','), '') AS total,
  COALESCE(string_agg(NULLIF(estimate_error, '{}'), ','), '') AS estimate_error
FROM minute_sample
WHERE minute >= :first AND minute < :end
GROUP BY 1, app
ORDER BY 1, app
