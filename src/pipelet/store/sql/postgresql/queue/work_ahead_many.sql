-- `work_ahead.sql` for many: the work before a block of 16 arrivals is added up once for all jobs that wait in that block.
-- Differs from SQLite's because lists come as arrays, and because joins without LATERAL would read the whole queue:
-- the planner does not know how few rows a block has.
WITH asked AS MATERIALIZED (
  SELECT * FROM unnest(:priorities::integer[], :seqs::bigint[]) AS asked (of_priority, of_seq)
),
own_block AS MATERIALIZED (SELECT DISTINCT of_priority, of_seq >> 4 AS number FROM asked),
before AS MATERIALIZED (
  SELECT of_priority, number, counted.*
  FROM own_block CROSS JOIN LATERAL (
    SELECT COALESCE(SUM(requests), 0) AS requests, COALESCE(SUM(steps), 0.0) AS steps,
           COALESCE(SUM(megapixels), 0.0) AS megapixels, COALESCE(SUM(megapixel_steps), 0.0) AS megapixel_steps,
           COALESCE(SUM(attention), 0.0) AS attention
    FROM (
      SELECT requests, steps, megapixels, megapixel_steps, attention FROM queue_count
      WHERE app = ANY(:apps::text[]) AND level = 0 AND priority > of_priority
      UNION ALL
      SELECT requests, steps, megapixels, megapixel_steps, attention FROM queue_count
      WHERE app = ANY(:apps::text[]) AND level = 12 AND priority = of_priority AND block < number >> 8
      UNION ALL
      SELECT requests, steps, megapixels, megapixel_steps, attention FROM queue_count
      WHERE app = ANY(:apps::text[]) AND level = 8 AND priority = of_priority
        AND block >= (number >> 8) << 4 AND block < number >> 4
      UNION ALL
      SELECT requests, steps, megapixels, megapixel_steps, attention FROM queue_count
      WHERE app = ANY(:apps::text[]) AND level = 4 AND priority = of_priority
        AND block >= (number >> 4) << 4 AND block < number
    ) AS blocks
  ) AS counted
),
within AS MATERIALIZED (
  SELECT of_priority, of_seq, counted.*
  FROM asked CROSS JOIN LATERAL (
    SELECT COUNT(*) - 1 AS requests, SUM(steps) FILTER (WHERE seq < of_seq) AS steps,
           SUM(megapixels) FILTER (WHERE seq < of_seq) AS megapixels,
           SUM(megapixel_steps) FILTER (WHERE seq < of_seq) AS megapixel_steps,
           SUM(attention) FILTER (WHERE seq < of_seq) AS attention
    FROM job
    WHERE app = ANY(:apps::text[]) AND state = 'queued' AND priority = of_priority
      AND seq >= (of_seq >> 4) << 4 AND seq <= of_seq
    HAVING MAX(seq) = of_seq -- the job itself still waits
  ) AS counted
)
SELECT of_seq AS seq, (before.requests + within.requests)::bigint AS requests,
       before.steps + COALESCE(within.steps, 0.0) AS steps,
       before.megapixels + COALESCE(within.megapixels, 0.0) AS megapixels,
       before.megapixel_steps + COALESCE(within.megapixel_steps, 0.0) AS megapixel_steps,
       before.attention + COALESCE(within.attention, 0.0) AS attention
FROM within JOIN before ON before.of_priority = within.of_priority AND number = of_seq >> 4
