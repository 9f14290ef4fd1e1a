SELECT app, steps, megapixels, megapixel_steps, attention, started_at, tasks_done, tasks_total
FROM job
WHERE state = 'running' AND app IN (SELECT value FROM json_each(:apps))
