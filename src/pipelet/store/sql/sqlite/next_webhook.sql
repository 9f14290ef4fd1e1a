-- The one that is due for the longest time, of those whose user and receiver are not busy.
-- It mostly is among the front ones. Where all of these wait for the busy, thousands more may: then the heads of all lines, one
-- for each receiver of a user, are gone through by one step each, and those of a busy user by one step together.
WITH RECURSIVE front AS MATERIALIZED (
  SELECT job_id, owner, receiver, due_at FROM webhook WHERE due_at <= :now ORDER BY due_at LIMIT 200
), free AS MATERIALIZED (
  SELECT job_id, due_at FROM front
  WHERE owner NOT IN (SELECT value FROM json_each(:busy_users))
    AND receiver NOT IN (SELECT value FROM json_each(:busy_receivers))
), head (job_id) AS (
  SELECT (SELECT job_id FROM webhook WHERE due_at IS NOT NULL ORDER BY owner, receiver, due_at LIMIT 1)
  WHERE NOT EXISTS (SELECT 1 FROM free) AND (SELECT COUNT(*) FROM front) = 200
  UNION ALL
  SELECT COALESCE(CASE WHEN here.owner NOT IN (SELECT value FROM json_each(:busy_users)) THEN (
    SELECT job_id FROM webhook
    WHERE due_at IS NOT NULL AND owner = here.owner AND receiver > here.receiver
    ORDER BY owner, receiver, due_at LIMIT 1
  ) END, (
    SELECT job_id FROM webhook
    WHERE due_at IS NOT NULL AND owner > here.owner
    ORDER BY owner, receiver, due_at LIMIT 1
  ))
  FROM head CROSS JOIN webhook AS here ON here.job_id = head.job_id
)
SELECT job_id, due_at FROM free
UNION ALL
SELECT webhook.job_id, webhook.due_at FROM head CROSS JOIN webhook ON webhook.job_id = head.job_id
WHERE webhook.due_at <= :now
  AND webhook.owner NOT IN (SELECT value FROM json_each(:busy_users))
  AND webhook.receiver NOT IN (SELECT value FROM json_each(:busy_receivers))
ORDER BY due_at LIMIT 1
