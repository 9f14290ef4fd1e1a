SELECT counted.app, CAST(SUM(counted.requests) AS bigint) AS queued, MIN((
  SELECT submitted_at FROM job
  WHERE state = 'queued' AND app = counted.app AND priority = counted.priority
  ORDER BY seq LIMIT 1
)) AS oldest_submitted_at
FROM queue_run AS counted
WHERE grain = 0
GROUP BY counted.app
HAVING SUM(counted.requests) > 0
