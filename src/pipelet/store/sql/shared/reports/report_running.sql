SELECT id, app, owner, priority, image_count AS images, worker, attempt, started_at, tasks_done, tasks_total
FROM job
WHERE state = 'running'
ORDER BY started_at
LIMIT :limit
