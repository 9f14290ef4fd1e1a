-- Or requests that arrive from now on would go before those that have waited since the order was `fifo`.
INSERT INTO turn_clock (model, priority, at)
SELECT model, priority, fifo_turn
FROM (
  SELECT model, priority FROM turn_clock
  UNION
  SELECT model, priority FROM job WHERE state = 'queued'
) AS levels CROSS JOIN queue_order
WHERE true
ON CONFLICT (model, priority) DO UPDATE SET at = excluded.at WHERE turn_clock.at < excluded.at
