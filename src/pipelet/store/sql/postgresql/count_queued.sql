SELECT level.app, SUM(level.requests)::bigint AS queued, MIN((
  SELECT submitted_at FROM job
  WHERE state = 'queued' AND app = level.app AND priority = level.priority
  ORDER BY seq LIMIT 1
)) AS oldest_submitted_at
FROM queue_count AS level
WHERE span = 0
GROUP BY level.app
HAVING SUM(level.requests) > 0
