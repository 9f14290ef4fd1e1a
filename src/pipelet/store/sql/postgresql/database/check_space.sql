-- Writes about 400 kB to a temporary file if `work_mem` is at its minimum; a full disk fails it, and nothing stays.
SELECT count(*) FROM generate_series(1, 30000)
