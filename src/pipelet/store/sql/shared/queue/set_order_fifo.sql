-- Requests that arrive from now on go behind all that wait.
UPDATE queue_order
SET name = 'fifo', fifo_turn = (
  SELECT MAX(turn) FROM (SELECT fifo_turn AS turn UNION ALL SELECT turn FROM job WHERE state = 'queued') AS turns
)
WHERE name <> 'fifo'
RETURNING name
