SELECT key FROM file WHERE job_id = :id
UNION
SELECT key FROM job_input_file WHERE job_id = :id
