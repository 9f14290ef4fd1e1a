UPDATE job SET tasks_done = MAX(:done, COALESCE(tasks_done, 0)), tasks_total = :total
WHERE id = :id AND lease_token = :token
RETURNING id
