-- Minutes are added up here, not by the caller: a week has 20,000 rows, and a chart of it 300 steps. The texts of the histograms
-- become one, separated by commas; a chart needs one histogram, or none. Differs from PostgreSQL's in the name of that function.
SELECT
  minute / :minutes * :minutes AS minute, app, MAX(queued) AS queued, MAX(oldest_seconds) AS oldest_seconds,
  MAX(running) AS running, MAX(workers) AS workers, SUM(finished) AS finished, SUM(failed) AS failed,
  COALESCE(group_concat(CASE WHEN CAST(:with_queue_wait AS boolean) THEN NULLIF(queue_wait, '{}') END, ','), '') AS queue_wait,
  COALESCE(group_concat(CASE WHEN CAST(:with_total AS boolean) THEN NULLIF(total, '{}') END, ','), '') AS total,
  COALESCE(group_concat(CASE WHEN CAST(:with_estimate_error AS boolean) THEN NULLIF(estimate_error, '{}') END, ','), '') AS estimate_error
FROM minute_sample
WHERE minute >= :first AND minute < :end
GROUP BY 1, app
ORDER BY 1, app
