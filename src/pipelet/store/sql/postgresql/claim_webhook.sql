-- Differs from SQLite's because several processes claim at once: each takes one that no other is taking.
WITH due AS MATERIALIZED (
  SELECT job_id FROM webhook
  WHERE due_at <= :now AND receiver <> ALL(:busy::text[])
  ORDER BY due_at LIMIT 1
  FOR UPDATE SKIP LOCKED
)
UPDATE webhook SET lease_token = :token, due_at = :expires_at, tries = tries + 1
FROM due
WHERE webhook.job_id = due.job_id
RETURNING webhook.job_id, webhook.receiver, webhook.tries
