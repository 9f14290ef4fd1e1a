UPDATE job SET
  requested_priority = COALESCE(requested_priority, priority),
  priority = :priority,
  turn = :turn,
  charged_priority = :charged_priority
WHERE id = :id AND state = 'queued'
RETURNING id
