-- The event that has been due longest, of users who are within their limit of webhooks and not busy.
SELECT job_id, event FROM webhook_event AS due
WHERE changed AND due_at <= :now
  AND owner NOT IN (SELECT value FROM json_each(:busy_users))
  AND endpoint NOT IN (SELECT value FROM json_each(:busy_endpoints))
  AND NOT EXISTS (
    SELECT 1 FROM webhook_pace JOIN user_limit USING (owner)
    WHERE owner = due.owner AND next_at - MAX(10.0, 60.0 / max_webhooks_per_minute) > :now
  )
ORDER BY due_at LIMIT 1
