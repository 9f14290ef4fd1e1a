-- One row for each attempt, in one statement, so that a delivery and its attempts are of the same moment.
WITH delivery AS (
  SELECT * FROM webhook_delivery
  WHERE (CAST(:state AS text) IS NULL OR state = :state)
    AND (CAST(:after_since AS double precision) IS NULL
         OR since < :after_since OR (since = :after_since AND job_id > CAST(:after_id AS text)))
  ORDER BY since DESC, job_id LIMIT :limit
)
SELECT delivery.job_id, delivery.owner, delivery.state, delivery.since, delivery.due_at, job.webhook,
       attempt.at, attempt.seconds, attempt.code, attempt.error
FROM delivery
JOIN job ON job.id = delivery.job_id
LEFT JOIN webhook_attempt AS attempt ON attempt.job_id = delivery.job_id
ORDER BY delivery.since DESC, delivery.job_id, attempt.at
