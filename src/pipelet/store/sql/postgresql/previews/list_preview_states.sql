-- Differs from SQLite's because lists come as arrays.
SELECT job.id, job.owner, job.state, preview.wanted_until, preview.made_at, preview.image_index, preview.step
FROM job LEFT JOIN preview ON preview.job_id = job.id
WHERE job.id = ANY(:ids::text[]) AND job.finished_at IS NULL
