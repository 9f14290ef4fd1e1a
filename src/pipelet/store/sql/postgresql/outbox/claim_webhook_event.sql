-- Differs from SQLite's because several processes claim at the same time: each takes an event that no other is taking.
WITH due AS MATERIALIZED (
  SELECT job_id, event FROM webhook_event AS due
  WHERE changed AND due_at <= :now
    AND owner <> ALL(:busy_users::text[])
    AND endpoint <> ALL(:busy_endpoints::text[])
    AND NOT EXISTS (
      SELECT 1 FROM webhook_pace JOIN user_limit USING (owner)
      WHERE owner = due.owner AND next_at - GREATEST(10.0, 60.0 / max_webhooks_per_minute) > :now
    )
  ORDER BY due_at LIMIT 1
  FOR UPDATE SKIP LOCKED
)
UPDATE webhook_event AS claimed
SET lease_token = :token, due_at = :expires_at, changed = false, attempts = attempts + 1
FROM due
WHERE claimed.job_id = due.job_id AND claimed.event = due.event
RETURNING claimed.job_id, claimed.owner, claimed.endpoint, claimed.attempts, claimed.event
