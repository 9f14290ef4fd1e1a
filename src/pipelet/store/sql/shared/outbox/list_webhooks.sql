-- One row for each attempt, in one statement, so that a delivery and its attempts are of the same moment.
WITH delivery AS (
  SELECT * FROM webhook_delivery WHERE CAST(:state AS text) IS NULL OR state = :state ORDER BY since DESC, job_id LIMIT :limit
)
SELECT delivery.job_id, delivery.state, delivery.since, delivery.due_at, job.webhook,
       attempt.at, attempt.seconds, attempt.code, attempt.error
FROM delivery
JOIN job ON job.id = delivery.job_id
LEFT JOIN webhook_attempt AS attempt ON attempt.job_id = delivery.job_id
ORDER BY delivery.since DESC, delivery.job_id, attempt.at
