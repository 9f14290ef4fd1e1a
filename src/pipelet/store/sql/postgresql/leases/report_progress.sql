-- Differs from SQLite's because the greater of two values has another name.
UPDATE job SET tasks_done = GREATEST(:done, COALESCE(tasks_done, 0)), tasks_total = :total
WHERE id = :id AND lease_token = :token
RETURNING id
