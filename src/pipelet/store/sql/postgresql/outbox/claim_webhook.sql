-- SQLite's `next_webhook.sql` explains the search. Differs because several processes claim at the same time: each takes a
-- delivery that no other is taking.
WITH RECURSIVE front AS MATERIALIZED (
  SELECT job_id, owner, endpoint, due_at FROM webhook_delivery WHERE due_at <= :now ORDER BY due_at LIMIT 200
), free AS MATERIALIZED (
  SELECT job_id, due_at FROM front WHERE owner <> ALL(:busy_users::text[]) AND endpoint <> ALL(:busy_endpoints::text[])
), head (job_id) AS (
  SELECT (SELECT job_id FROM webhook_delivery WHERE due_at IS NOT NULL ORDER BY owner, endpoint, due_at LIMIT 1)
  WHERE NOT EXISTS (SELECT 1 FROM free) AND (SELECT COUNT(*) FROM front) = 200
  UNION ALL
  SELECT COALESCE((
    SELECT job_id FROM webhook_delivery
    WHERE due_at IS NOT NULL AND owner = here.owner AND endpoint > here.endpoint AND here.owner <> ALL(:busy_users::text[])
    ORDER BY owner, endpoint, due_at LIMIT 1
  ), (
    SELECT job_id FROM webhook_delivery
    WHERE due_at IS NOT NULL AND owner > here.owner
    ORDER BY owner, endpoint, due_at LIMIT 1
  ))
  FROM head JOIN webhook_delivery AS here ON here.job_id = head.job_id
), candidate AS MATERIALIZED (
  SELECT job_id, due_at FROM free
  UNION ALL
  SELECT delivery.job_id, delivery.due_at FROM head JOIN webhook_delivery AS delivery ON delivery.job_id = head.job_id
  WHERE delivery.due_at <= :now
    AND delivery.owner <> ALL(:busy_users::text[]) AND delivery.endpoint <> ALL(:busy_endpoints::text[])
  ORDER BY due_at
), due AS MATERIALIZED (
  SELECT claimed.job_id
  FROM candidate CROSS JOIN LATERAL (
    SELECT job_id FROM webhook_delivery WHERE job_id = candidate.job_id AND due_at <= :now FOR UPDATE SKIP LOCKED
  ) AS claimed
  LIMIT 1
)
UPDATE webhook_delivery AS delivery SET lease_token = :token, due_at = :expires_at, attempts = attempts + 1
FROM due
WHERE delivery.job_id = due.job_id
RETURNING delivery.job_id, delivery.owner, delivery.endpoint, delivery.attempts
