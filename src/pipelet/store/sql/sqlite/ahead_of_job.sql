-- The levels above, then, in the job's own level, the long runs before its own, the short runs before its own, and rows.
WITH wanted AS MATERIALIZED (SELECT value AS app FROM json_each(:apps)),
ahead AS (
  SELECT requests, steps, megapixels, megapixel_steps, attention
  FROM wanted JOIN queue_count USING (app)
  WHERE span = 0 AND priority > :priority
  UNION ALL
  SELECT requests, steps, megapixels, megapixel_steps, attention
  FROM wanted JOIN queue_count USING (app)
  WHERE span = 12 AND priority = :priority AND run < :seq >> 12
  UNION ALL
  SELECT requests, steps, megapixels, megapixel_steps, attention
  FROM wanted JOIN queue_count USING (app)
  WHERE span = 6 AND priority = :priority AND run >= (:seq >> 12) << 6 AND run < :seq >> 6
  UNION ALL
  SELECT 1, steps, megapixels, megapixel_steps, attention
  FROM wanted JOIN job USING (app)
  WHERE state = 'queued' AND priority = :priority AND seq >= (:seq >> 6) << 6 AND seq < :seq
)
SELECT COALESCE(SUM(requests), 0) AS requests, COALESCE(SUM(steps), 0.0) AS steps,
       COALESCE(SUM(megapixels), 0.0) AS megapixels, COALESCE(SUM(megapixel_steps), 0.0) AS megapixel_steps,
       COALESCE(SUM(attention), 0.0) AS attention
FROM ahead
