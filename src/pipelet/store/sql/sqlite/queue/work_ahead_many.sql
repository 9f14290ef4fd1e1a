-- `work_ahead.sql` for many: the work before a block of 16 arrivals is added up once for all jobs that wait in that block.
-- CROSS JOIN keeps the order: the planner would walk the whole of `queue_count` for every block.
WITH wanted AS MATERIALIZED (SELECT value AS app FROM json_each(:apps)),
asked AS MATERIALIZED (
  SELECT json_extract(value, '$[0]') AS of_priority, json_extract(value, '$[1]') AS of_seq FROM json_each(:positions)
),
own_block AS MATERIALIZED (SELECT DISTINCT of_priority, of_seq >> 4 AS number FROM asked),
counted AS (
  SELECT of_priority, number, 0 AS requests, 0.0 AS steps, 0.0 AS megapixels, 0.0 AS megapixel_steps, 0.0 AS attention
  FROM own_block
  UNION ALL
  SELECT of_priority, number, requests, steps, megapixels, megapixel_steps, attention
  FROM own_block CROSS JOIN wanted CROSS JOIN queue_count USING (app)
  WHERE level = 0 AND priority > of_priority
  UNION ALL
  SELECT of_priority, number, requests, steps, megapixels, megapixel_steps, attention
  FROM own_block CROSS JOIN wanted CROSS JOIN queue_count USING (app)
  WHERE level = 12 AND priority = of_priority AND block < number >> 8
  UNION ALL
  SELECT of_priority, number, requests, steps, megapixels, megapixel_steps, attention
  FROM own_block CROSS JOIN wanted CROSS JOIN queue_count USING (app)
  WHERE level = 8 AND priority = of_priority AND block >= (number >> 8) << 4 AND block < number >> 4
  UNION ALL
  SELECT of_priority, number, requests, steps, megapixels, megapixel_steps, attention
  FROM own_block CROSS JOIN wanted CROSS JOIN queue_count USING (app)
  WHERE level = 4 AND priority = of_priority AND block >= (number >> 4) << 4 AND block < number
),
before AS MATERIALIZED (
  SELECT of_priority, number, SUM(requests) AS requests, SUM(steps) AS steps, SUM(megapixels) AS megapixels,
         SUM(megapixel_steps) AS megapixel_steps, SUM(attention) AS attention
  FROM counted
  GROUP BY of_priority, number
),
within AS MATERIALIZED (
  SELECT of_priority, of_seq, COUNT(*) - 1 AS requests, SUM(steps) FILTER (WHERE seq < of_seq) AS steps,
         SUM(megapixels) FILTER (WHERE seq < of_seq) AS megapixels,
         SUM(megapixel_steps) FILTER (WHERE seq < of_seq) AS megapixel_steps,
         SUM(attention) FILTER (WHERE seq < of_seq) AS attention
  FROM asked CROSS JOIN wanted CROSS JOIN job USING (app)
  WHERE state = 'queued' AND priority = of_priority AND seq >= (of_seq >> 4) << 4 AND seq <= of_seq
  GROUP BY of_priority, of_seq
  HAVING MAX(seq) = of_seq -- the job itself still waits
)
SELECT of_seq AS seq, (before.requests + within.requests) AS requests,
       before.steps + COALESCE(within.steps, 0.0) AS steps,
       before.megapixels + COALESCE(within.megapixels, 0.0) AS megapixels,
       before.megapixel_steps + COALESCE(within.megapixel_steps, 0.0) AS megapixel_steps,
       before.attention + COALESCE(within.attention, 0.0) AS attention
FROM within CROSS JOIN before ON before.of_priority = within.of_priority AND number = of_seq >> 4
