-- One row for each attempt, in one statement, so that a delivery and its attempts are of the same moment.
WITH delivery AS (
  SELECT * FROM webhook_delivery
  WHERE since <= :after_since AND (since < :after_since OR job_id > :after_id)
  ORDER BY since DESC, job_id LIMIT :limit
)
SELECT delivery.job_id, delivery.owner, delivery.state, delivery.since, delivery.due_at, job.webhook,
       attempt.at, attempt.seconds, attempt.code, attempt.error
FROM delivery
JOIN job ON job.id = delivery.job_id
LEFT JOIN webhook_attempt AS attempt ON attempt.job_id = delivery.job_id
ORDER BY delivery.since DESC, delivery.job_id, attempt.at
