-- Into the highest level in which anybody waits, before the first that ever was: nobody's priority can be out of reach.
UPDATE job SET
  asked_priority = COALESCE(asked_priority, priority),
  priority = (SELECT MAX(priority) FROM queue_count WHERE span = 0),
  seq = MIN(0, (SELECT MIN(seq) FROM job)) - 1
WHERE id = :id AND state = 'queued'
RETURNING id
