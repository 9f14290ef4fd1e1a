-- Differs from SQLite's because rows have no hidden number.
SELECT at, level, message FROM job_log WHERE job_id = :job_id ORDER BY id
