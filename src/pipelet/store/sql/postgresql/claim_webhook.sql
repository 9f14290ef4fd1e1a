-- SQLite's `next_webhook.sql` tells how it is found. Differs because several processes claim at once: each takes one that no
-- other is taking.
WITH RECURSIVE front AS MATERIALIZED (
  SELECT job_id, owner, receiver, due_at FROM webhook WHERE due_at <= :now ORDER BY due_at LIMIT 200
), free AS MATERIALIZED (
  SELECT job_id, due_at FROM front WHERE owner <> ALL(:busy_users::text[]) AND receiver <> ALL(:busy_receivers::text[])
), head (job_id) AS (
  SELECT (SELECT job_id FROM webhook WHERE due_at IS NOT NULL ORDER BY owner, receiver, due_at LIMIT 1)
  WHERE NOT EXISTS (SELECT 1 FROM free) AND (SELECT COUNT(*) FROM front) = 200
  UNION ALL
  SELECT COALESCE((
    SELECT job_id FROM webhook
    WHERE due_at IS NOT NULL AND owner = here.owner AND receiver > here.receiver AND here.owner <> ALL(:busy_users::text[])
    ORDER BY owner, receiver, due_at LIMIT 1
  ), (
    SELECT job_id FROM webhook
    WHERE due_at IS NOT NULL AND owner > here.owner
    ORDER BY owner, receiver, due_at LIMIT 1
  ))
  FROM head JOIN webhook AS here ON here.job_id = head.job_id
), candidate AS MATERIALIZED (
  SELECT job_id, due_at FROM free
  UNION ALL
  SELECT webhook.job_id, webhook.due_at FROM head JOIN webhook ON webhook.job_id = head.job_id
  WHERE webhook.due_at <= :now
    AND webhook.owner <> ALL(:busy_users::text[]) AND webhook.receiver <> ALL(:busy_receivers::text[])
  ORDER BY due_at
), due AS MATERIALIZED (
  SELECT taken.job_id
  FROM candidate CROSS JOIN LATERAL (
    SELECT job_id FROM webhook WHERE job_id = candidate.job_id AND due_at <= :now FOR UPDATE SKIP LOCKED
  ) AS taken
  LIMIT 1
)
UPDATE webhook SET lease_token = :token, due_at = :expires_at, tries = tries + 1
FROM due
WHERE webhook.job_id = due.job_id
RETURNING webhook.job_id, webhook.owner, webhook.receiver, webhook.tries
