-- As SQLite's.
SELECT
  minute / :minutes * :minutes AS minute, app, MAX(queued) AS queued, MAX(oldest_seconds) AS oldest_seconds,
  MAX(running) AS running, MAX(workers) AS workers, SUM(finished)::bigint AS finished, SUM(failed)::bigint AS failed,
  COALESCE(string_agg(CASE WHEN CAST(:with_queue_wait AS boolean) THEN NULLIF(queue_wait, '{}') END, ','), '') AS queue_wait,
  COALESCE(string_agg(CASE WHEN CAST(:with_total AS boolean) THEN NULLIF(total, '{}') END, ','), '') AS total,
  COALESCE(string_agg(CASE WHEN CAST(:with_estimate_error AS boolean) THEN NULLIF(estimate_error, '{}') END, ','), '') AS estimate_error
FROM minute_sample
WHERE minute >= :first AND minute < :end
GROUP BY 1, app
ORDER BY 1, app
