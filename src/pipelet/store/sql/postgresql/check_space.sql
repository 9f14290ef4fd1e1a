-- Writes some 400 kB to a temporary file where `work_mem` is at its least; a full disk fails it, and nothing stays.
SELECT count(*) FROM generate_series(1, 30000)
