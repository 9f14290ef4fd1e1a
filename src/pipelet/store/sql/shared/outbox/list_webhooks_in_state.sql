-- As `list_webhooks`, of one state. On their own: one plan for both would read the deliveries of all states.
WITH delivery AS (
  SELECT * FROM webhook_delivery
  WHERE state = :state AND since <= :after_since AND (since < :after_since OR job_id > :after_id)
  ORDER BY since DESC, job_id LIMIT :limit
)
SELECT delivery.job_id, delivery.owner, delivery.state, delivery.since, delivery.due_at, job.webhook,
       attempt.at, attempt.seconds, attempt.code, attempt.error
FROM delivery
JOIN job ON job.id = delivery.job_id
LEFT JOIN webhook_attempt AS attempt ON attempt.job_id = delivery.job_id
ORDER BY delivery.since DESC, delivery.job_id, attempt.at
