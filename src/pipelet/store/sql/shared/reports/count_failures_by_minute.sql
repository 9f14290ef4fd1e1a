-- PostgreSQL rounds to the second, SQLite cuts to it.
SELECT error_type, minute, COUNT(*) AS requests
FROM (
  SELECT failure_kind AS error_type, CAST(finished_at AS BIGINT) / 60 AS minute
  FROM job
  WHERE state = 'failed' AND finished_at > :since
  ORDER BY finished_at DESC
  LIMIT :limit
) AS recent
GROUP BY error_type, minute
