-- `ahead_of_job.sql` for many: what is before a run of 16 arrivals is added up once for all who wait in that run.
-- Differs from SQLite's because lists come as arrays, and because the planner finds the order of joins by itself.
WITH asked AS MATERIALIZED (
  SELECT * FROM unnest(:levels::integer[], :places::bigint[]) AS place (level, place)
),
block AS MATERIALIZED (SELECT DISTINCT level, place >> 4 AS number FROM asked),
counted AS (
  SELECT level, number, 0 AS requests, 0.0 AS steps, 0.0 AS megapixels, 0.0 AS megapixel_steps, 0.0 AS attention
  FROM block
  UNION ALL
  SELECT level, number, requests, steps, megapixels, megapixel_steps, attention
  FROM block JOIN queue_count ON app = ANY(:apps::text[])
  WHERE span = 0 AND priority > level
  UNION ALL
  SELECT level, number, requests, steps, megapixels, megapixel_steps, attention
  FROM block JOIN queue_count ON app = ANY(:apps::text[])
  WHERE span = 12 AND priority = level AND run < number >> 8
  UNION ALL
  SELECT level, number, requests, steps, megapixels, megapixel_steps, attention
  FROM block JOIN queue_count ON app = ANY(:apps::text[])
  WHERE span = 8 AND priority = level AND run >= (number >> 8) << 4 AND run < number >> 4
  UNION ALL
  SELECT level, number, requests, steps, megapixels, megapixel_steps, attention
  FROM block JOIN queue_count ON app = ANY(:apps::text[])
  WHERE span = 4 AND priority = level AND run >= (number >> 4) << 4 AND run < number
),
before AS MATERIALIZED (
  SELECT level, number, SUM(requests) AS requests, SUM(steps) AS steps, SUM(megapixels) AS megapixels,
         SUM(megapixel_steps) AS megapixel_steps, SUM(attention) AS attention
  FROM counted
  GROUP BY level, number
),
within AS MATERIALIZED (
  SELECT level, place, COUNT(*) - 1 AS requests, SUM(steps) FILTER (WHERE seq < place) AS steps,
         SUM(megapixels) FILTER (WHERE seq < place) AS megapixels,
         SUM(megapixel_steps) FILTER (WHERE seq < place) AS megapixel_steps,
         SUM(attention) FILTER (WHERE seq < place) AS attention
  FROM asked JOIN job ON app = ANY(:apps::text[])
  WHERE state = 'queued' AND priority = level AND seq >= (place >> 4) << 4 AND seq <= place
  GROUP BY level, place
  HAVING MAX(seq) = place -- it still waits itself
)
SELECT place AS seq, (before.requests + within.requests)::bigint AS requests,
       before.steps + COALESCE(within.steps, 0.0) AS steps,
       before.megapixels + COALESCE(within.megapixels, 0.0) AS megapixels,
       before.megapixel_steps + COALESCE(within.megapixel_steps, 0.0) AS megapixel_steps,
       before.attention + COALESCE(within.attention, 0.0) AS attention
FROM within JOIN before ON before.level = within.level AND number = place >> 4
