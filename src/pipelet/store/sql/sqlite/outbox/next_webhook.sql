-- The delivery that has been due longest, of those whose user and endpoint are not busy.
-- Usually it is among the first 200. If all of these wait for busy users or endpoints, thousands more may: then the heads of
-- all lines, one for each endpoint of a user, are visited in one step each, and those of a busy user in one step together.
WITH RECURSIVE front AS MATERIALIZED (
  SELECT job_id, owner, endpoint, due_at FROM webhook_delivery WHERE due_at <= :now ORDER BY due_at LIMIT 200
), free AS MATERIALIZED (
  SELECT job_id, due_at FROM front
  WHERE owner NOT IN (SELECT value FROM json_each(:busy_users))
    AND endpoint NOT IN (SELECT value FROM json_each(:busy_endpoints))
), head (job_id) AS (
  SELECT (SELECT job_id FROM webhook_delivery WHERE due_at IS NOT NULL ORDER BY owner, endpoint, due_at LIMIT 1)
  WHERE NOT EXISTS (SELECT 1 FROM free) AND (SELECT COUNT(*) FROM front) = 200
  UNION ALL
  SELECT COALESCE(CASE WHEN here.owner NOT IN (SELECT value FROM json_each(:busy_users)) THEN (
    SELECT job_id FROM webhook_delivery
    WHERE due_at IS NOT NULL AND owner = here.owner AND endpoint > here.endpoint
    ORDER BY owner, endpoint, due_at LIMIT 1
  ) END, (
    SELECT job_id FROM webhook_delivery
    WHERE due_at IS NOT NULL AND owner > here.owner
    ORDER BY owner, endpoint, due_at LIMIT 1
  ))
  FROM head CROSS JOIN webhook_delivery AS here ON here.job_id = head.job_id
)
SELECT job_id, due_at FROM free
UNION ALL
SELECT delivery.job_id, delivery.due_at FROM head CROSS JOIN webhook_delivery AS delivery ON delivery.job_id = head.job_id
WHERE delivery.due_at <= :now
  AND delivery.owner NOT IN (SELECT value FROM json_each(:busy_users))
  AND delivery.endpoint NOT IN (SELECT value FROM json_each(:busy_endpoints))
ORDER BY due_at LIMIT 1
