-- One row for each attempt.
SELECT delivery.job_id, delivery.owner, delivery.state, delivery.since, delivery.due_at, job.webhook,
       attempt.at, attempt.seconds, attempt.code, attempt.error
FROM webhook_delivery AS delivery
JOIN job ON job.id = delivery.job_id
LEFT JOIN webhook_attempt AS attempt ON attempt.job_id = delivery.job_id
WHERE delivery.job_id = :job_id
ORDER BY attempt.at
