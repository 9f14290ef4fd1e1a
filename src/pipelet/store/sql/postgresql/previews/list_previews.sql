-- Differs from SQLite's because lists come as arrays.
SELECT job_id, made_at, image_index, step, image FROM preview WHERE job_id = ANY(:ids::text[]) AND image IS NOT NULL
