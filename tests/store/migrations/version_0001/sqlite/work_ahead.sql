-- The higher priorities, then, in the job's own priority, the blocks before its own, longest first, and the rows before it in
-- its own block. Jobs that their key's running quota blocks right now are counted like all others: the position is then too
-- pessimistic for a moment, and costs no more.
WITH wanted AS MATERIALIZED (SELECT value AS app FROM json_each(:apps)),
ahead AS (
  SELECT requests, steps, megapixels, megapixel_steps, attention
  FROM wanted JOIN queue_count USING (app)
  WHERE level = 0 AND priority > :priority
  UNION ALL
  SELECT requests, steps, megapixels, megapixel_steps, attention
  FROM wanted JOIN queue_count USING (app)
  WHERE level = 12 AND priority = :priority AND block < :seq >> 12
  UNION ALL
  SELECT requests, steps, megapixels, megapixel_steps, attention
  FROM wanted JOIN queue_count USING (app)
  WHERE level = 8 AND priority = :priority AND block >= (:seq >> 12) << 4 AND block < :seq >> 8
  UNION ALL
  SELECT requests, steps, megapixels, megapixel_steps, attention
  FROM wanted JOIN queue_count USING (app)
  WHERE level = 4 AND priority = :priority AND block >= (:seq >> 8) << 4 AND block < :seq >> 4
  UNION ALL
  SELECT 1, steps, megapixels, megapixel_steps, attention
  FROM wanted JOIN job USING (app)
  WHERE state = 'queued' AND priority = :priority AND seq >= (:seq >> 4) << 4 AND seq < :seq
)
SELECT COALESCE(SUM(requests), 0) AS requests, COALESCE(SUM(steps), 0.0) AS steps,
       COALESCE(SUM(megapixels), 0.0) AS megapixels, COALESCE(SUM(megapixel_steps), 0.0) AS megapixel_steps,
       COALESCE(SUM(attention), 0.0) AS attention
FROM ahead
