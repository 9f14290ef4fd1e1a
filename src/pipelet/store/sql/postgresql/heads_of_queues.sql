-- The wanted apps that have work, the one whose turn it is first.
SELECT head.app
FROM unnest(:apps::text[]) AS wanted (app)
CROSS JOIN LATERAL (
  SELECT app, priority, seq FROM job
  WHERE state = 'queued' AND app = wanted.app
  ORDER BY priority DESC, seq
  LIMIT 1
) AS head
ORDER BY head.priority DESC, head.seq
