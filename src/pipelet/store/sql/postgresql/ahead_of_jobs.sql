-- `ahead_of_job.sql` for many: what is before a run of 16 arrivals is added up once for all who wait in that run.
-- Differs from SQLite's because lists come as arrays, and because joins without LATERAL would read the whole queue:
-- the planner knows nothing of how few rows a run has.
WITH asked AS MATERIALIZED (
  SELECT * FROM unnest(:levels::integer[], :places::bigint[]) AS place (level, place)
),
block AS MATERIALIZED (SELECT DISTINCT level, place >> 4 AS number FROM asked),
before AS MATERIALIZED (
  SELECT level, number, counted.*
  FROM block CROSS JOIN LATERAL (
    SELECT COALESCE(SUM(requests), 0) AS requests, COALESCE(SUM(steps), 0.0) AS steps,
           COALESCE(SUM(megapixels), 0.0) AS megapixels, COALESCE(SUM(megapixel_steps), 0.0) AS megapixel_steps,
           COALESCE(SUM(attention), 0.0) AS attention
    FROM (
      SELECT requests, steps, megapixels, megapixel_steps, attention FROM queue_count
      WHERE app = ANY(:apps::text[]) AND span = 0 AND priority > level
      UNION ALL
      SELECT requests, steps, megapixels, megapixel_steps, attention FROM queue_count
      WHERE app = ANY(:apps::text[]) AND span = 12 AND priority = level AND run < number >> 8
      UNION ALL
      SELECT requests, steps, megapixels, megapixel_steps, attention FROM queue_count
      WHERE app = ANY(:apps::text[]) AND span = 8 AND priority = level
        AND run >= (number >> 8) << 4 AND run < number >> 4
      UNION ALL
      SELECT requests, steps, megapixels, megapixel_steps, attention FROM queue_count
      WHERE app = ANY(:apps::text[]) AND span = 4 AND priority = level
        AND run >= (number >> 4) << 4 AND run < number
    ) AS run
  ) AS counted
),
within AS MATERIALIZED (
  SELECT level, place, counted.*
  FROM asked CROSS JOIN LATERAL (
    SELECT COUNT(*) - 1 AS requests, SUM(steps) FILTER (WHERE seq < place) AS steps,
           SUM(megapixels) FILTER (WHERE seq < place) AS megapixels,
           SUM(megapixel_steps) FILTER (WHERE seq < place) AS megapixel_steps,
           SUM(attention) FILTER (WHERE seq < place) AS attention
    FROM job
    WHERE app = ANY(:apps::text[]) AND state = 'queued' AND priority = level
      AND seq >= (place >> 4) << 4 AND seq <= place
    HAVING MAX(seq) = place -- it still waits itself
  ) AS counted
)
SELECT place AS seq, (before.requests + within.requests)::bigint AS requests,
       before.steps + COALESCE(within.steps, 0.0) AS steps,
       before.megapixels + COALESCE(within.megapixels, 0.0) AS megapixels,
       before.megapixel_steps + COALESCE(within.megapixel_steps, 0.0) AS megapixel_steps,
       before.attention + COALESCE(within.attention, 0.0) AS attention
FROM within JOIN before ON before.level = within.level AND number = place >> 4
