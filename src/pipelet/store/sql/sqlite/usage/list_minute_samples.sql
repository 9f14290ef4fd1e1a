-- Minutes are added up here, not by the caller: a week has 20,000 rows, and a chart of it 300 steps. The texts of the histograms
-- become one, separated by commas. Differs from PostgreSQL's in the name of that function.
SELECT
  minute / :minutes * :minutes AS minute, app, MAX(queued) AS queued, MAX(oldest_seconds) AS oldest_seconds,
  MAX(running) AS running, MAX(workers) AS workers, SUM(finished) AS finished, SUM(failed) AS failed,
  COALESCE(group_concat(NULLIF(queue_wait, '{}'), ','), '') AS queue_wait,
  COALESCE(group_concat(NULLIF(total, '{}'), ','), '') AS total,
  COALESCE(group_concat(NULLIF(estimate_error, '{}'), ','), '') AS estimate_error
FROM minute_sample
WHERE minute >= :first AND minute < :end
GROUP BY 1, app
ORDER BY 1, app
