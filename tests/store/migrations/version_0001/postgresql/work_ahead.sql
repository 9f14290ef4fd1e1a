-- The higher priorities, then, in the job's own priority, the blocks before its own, longest first, and the rows before it in
-- its own block. Jobs that their key's running quota blocks right now are counted like all others: the position is then too
-- pessimistic for a moment, and costs no more.
-- Differs from SQLite's because lists come as arrays.
WITH ahead AS (
  SELECT requests, steps, megapixels, megapixel_steps, attention
  FROM queue_count
  WHERE app = ANY(:apps::text[]) AND level = 0 AND priority > :priority
  UNION ALL
  SELECT requests, steps, megapixels, megapixel_steps, attention
  FROM queue_count
  WHERE app = ANY(:apps::text[]) AND level = 12 AND priority = :priority AND block < :seq::bigint >> 12
  UNION ALL
  SELECT requests, steps, megapixels, megapixel_steps, attention
  FROM queue_count
  WHERE app = ANY(:apps::text[]) AND level = 8 AND priority = :priority
    AND block >= (:seq::bigint >> 12) << 4 AND block < :seq::bigint >> 8
  UNION ALL
  SELECT requests, steps, megapixels, megapixel_steps, attention
  FROM queue_count
  WHERE app = ANY(:apps::text[]) AND level = 4 AND priority = :priority
    AND block >= (:seq::bigint >> 8) << 4 AND block < :seq::bigint >> 4
  UNION ALL
  SELECT 1, steps, megapixels, megapixel_steps, attention
  FROM job
  WHERE app = ANY(:apps::text[]) AND state = 'queued' AND priority = :priority
    AND seq >= (:seq::bigint >> 4) << 4 AND seq < :seq::bigint
)
SELECT COALESCE(SUM(requests), 0)::bigint AS requests, COALESCE(SUM(steps), 0.0) AS steps,
       COALESCE(SUM(megapixels), 0.0) AS megapixels, COALESCE(SUM(megapixel_steps), 0.0) AS megapixel_steps,
       COALESCE(SUM(attention), 0.0) AS attention
FROM ahead
