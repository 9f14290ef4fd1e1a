UPDATE job SET tasks_done = CASE WHEN tasks_done > :done THEN tasks_done ELSE :done END, tasks_total = :total
WHERE id = :id AND lease_token = :token
RETURNING cancel_requested_at, (SELECT wanted_until FROM preview WHERE preview.job_id = job.id) AS wanted_until
