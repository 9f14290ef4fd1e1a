SELECT job.id, job.owner, job.state, preview.wanted_until, preview.made_at, preview.image_index, preview.step
FROM json_each(:ids) AS wanted JOIN job ON job.id = wanted.value LEFT JOIN preview ON preview.job_id = job.id
WHERE job.finished_at IS NULL
