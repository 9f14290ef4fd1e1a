SELECT job_id, made_at, image_index, step, image FROM preview
WHERE job_id IN (SELECT value FROM json_each(:ids)) AND image IS NOT NULL
