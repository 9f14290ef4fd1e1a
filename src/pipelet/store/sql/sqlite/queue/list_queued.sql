SELECT id FROM job
WHERE state = 'queued' AND (:user IS NULL OR owner = :user) AND (:key_id IS NULL OR key_id = :key_id)
ORDER BY submitted_at, seq
