-- Differs from SQLite's because lists come as arrays, and because processes that watch the same requests do so at once: in
-- one order, so that none of them waits for the other.
INSERT INTO preview (job_id, wanted_until)
SELECT id, :until::double precision FROM job WHERE id = ANY(:ids::text[]) AND finished_at IS NULL ORDER BY id
ON CONFLICT (job_id) DO UPDATE SET wanted_until = excluded.wanted_until
RETURNING job_id
