SELECT webhook.job_id, webhook.state, webhook.since, webhook.due_at, job.webhook,
       webhook_try.at, webhook_try.seconds, webhook_try.code, webhook_try.error
FROM webhook JOIN job ON job.id = webhook.job_id LEFT JOIN webhook_try ON webhook_try.job_id = webhook.job_id
WHERE webhook.job_id = :job_id
ORDER BY webhook_try.at
