SELECT id FROM job
WHERE state = 'queued' AND (CAST(:user AS text) IS NULL OR owner = :user) AND (CAST(:key_id AS text) IS NULL OR key_id = :key_id)
ORDER BY submitted_at, seq
