-- Makes stored files part of a new job, next to the jobs that already start from them. A trigger keeps the files.
INSERT INTO job_input_file (job_id, key) SELECT :job_id, value FROM json_each(:keys)
