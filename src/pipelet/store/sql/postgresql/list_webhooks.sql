-- One row a try, in one statement, so that what is said of a webhook and of its tries is of the same moment.
WITH chosen AS (
  SELECT * FROM webhook WHERE :state::text IS NULL OR state = :state ORDER BY since DESC, job_id LIMIT :limit
)
SELECT chosen.job_id, chosen.state, chosen.since, chosen.due_at, job.webhook,
       webhook_try.at, webhook_try.seconds, webhook_try.code, webhook_try.error
FROM chosen JOIN job ON job.id = chosen.job_id LEFT JOIN webhook_try ON webhook_try.job_id = chosen.job_id
ORDER BY chosen.since DESC, chosen.job_id, webhook_try.at
