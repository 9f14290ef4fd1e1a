-- `work_ahead.sql` for many: what is before a run of at most 32 rows is added up once for all jobs that wait in that run.
-- CROSS JOIN keeps the order: the planner would walk the whole of `queue_run` for every run.
WITH wanted AS MATERIALIZED (SELECT value AS app FROM json_each(:apps)),
asked AS MATERIALIZED (
  SELECT priority AS of_priority, turn AS of_turn, seq AS of_seq
  FROM json_each(:seqs) AS asked CROSS JOIN job ON seq = asked.value
  WHERE state = 'queued'
),
own AS MATERIALIZED (
  SELECT of_priority, of_turn, of_seq, app,
         (SELECT turn FROM queue_run AS run WHERE run.app = wanted.app AND grain = 32 AND priority = of_priority
          AND (turn, seq) <= (+of_turn, +of_seq) ORDER BY turn DESC, seq DESC LIMIT 1) AS leaf_turn,
         (SELECT seq FROM queue_run AS run WHERE run.app = wanted.app AND grain = 32 AND priority = of_priority
          AND (turn, seq) <= (+of_turn, +of_seq) ORDER BY turn DESC, seq DESC LIMIT 1) AS leaf_seq
  FROM asked CROSS JOIN wanted
),
leaf AS MATERIALIZED (
  SELECT app, of_priority, leaf_turn, leaf_seq,
         (SELECT turn FROM queue_run AS run WHERE run.app = own.app AND grain = 32768 AND priority = of_priority
          AND (turn, seq) <= (+leaf_turn, +leaf_seq) ORDER BY turn DESC, seq DESC LIMIT 1) AS wide_turn,
         (SELECT seq FROM queue_run AS run WHERE run.app = own.app AND grain = 32768 AND priority = of_priority
          AND (turn, seq) <= (+leaf_turn, +leaf_seq) ORDER BY turn DESC, seq DESC LIMIT 1) AS wide_seq,
         (SELECT turn FROM queue_run AS run WHERE run.app = own.app AND grain = 1024 AND priority = of_priority
          AND (turn, seq) <= (+leaf_turn, +leaf_seq) ORDER BY turn DESC, seq DESC LIMIT 1) AS middle_turn,
         (SELECT seq FROM queue_run AS run WHERE run.app = own.app AND grain = 1024 AND priority = of_priority
          AND (turn, seq) <= (+leaf_turn, +leaf_seq) ORDER BY turn DESC, seq DESC LIMIT 1) AS middle_seq
  FROM (SELECT DISTINCT app, of_priority, leaf_turn, leaf_seq FROM own) AS own
),
counted AS (
  SELECT app, of_priority, leaf_turn, leaf_seq, requests, steps, megapixels, megapixel_steps, attention
  FROM leaf CROSS JOIN queue_run USING (app)
  WHERE grain = 32768 AND priority = of_priority AND (turn, seq) < (+wide_turn, +wide_seq)
  UNION ALL
  SELECT app, of_priority, leaf_turn, leaf_seq, requests, steps, megapixels, megapixel_steps, attention
  FROM leaf CROSS JOIN queue_run USING (app)
  WHERE grain = 1024 AND priority = of_priority
    AND (turn, seq) >= (+wide_turn, +wide_seq) AND (turn, seq) < (+middle_turn, +middle_seq)
  UNION ALL
  SELECT app, of_priority, leaf_turn, leaf_seq, requests, steps, megapixels, megapixel_steps, attention
  FROM leaf CROSS JOIN queue_run USING (app)
  WHERE grain = 32 AND priority = of_priority
    AND (turn, seq) >= (+middle_turn, +middle_seq) AND (turn, seq) < (+leaf_turn, +leaf_seq)
),
before AS MATERIALIZED (
  SELECT app, of_priority, leaf_turn, leaf_seq, SUM(requests) AS requests, SUM(steps) AS steps,
         SUM(megapixels) AS megapixels, SUM(megapixel_steps) AS megapixel_steps, SUM(attention) AS attention
  FROM counted
  GROUP BY app, of_priority, leaf_turn, leaf_seq
),
ahead AS (
  SELECT of_seq, 0 AS requests, 0.0 AS steps, 0.0 AS megapixels, 0.0 AS megapixel_steps, 0.0 AS attention FROM asked
  UNION ALL
  SELECT of_seq, requests, steps, megapixels, megapixel_steps, attention
  FROM asked CROSS JOIN (
    SELECT of_priority, SUM(requests) AS requests, SUM(steps) AS steps, SUM(megapixels) AS megapixels,
           SUM(megapixel_steps) AS megapixel_steps, SUM(attention) AS attention
    FROM (SELECT DISTINCT of_priority FROM asked) CROSS JOIN wanted CROSS JOIN queue_run USING (app)
    WHERE grain = 0 AND priority > of_priority
    GROUP BY of_priority
  ) USING (of_priority)
  UNION ALL
  SELECT of_seq, requests, steps, megapixels, megapixel_steps, attention
  FROM own CROSS JOIN before USING (app, of_priority, leaf_turn, leaf_seq)
  UNION ALL
  SELECT of_seq, 1, steps, megapixels, megapixel_steps, attention
  FROM own CROSS JOIN job USING (app)
  WHERE state = 'queued' AND quota_limited IN (0, 1) AND priority = of_priority
    AND (turn, arrival) >= (+leaf_turn, +leaf_seq) AND (turn, arrival) < (+of_turn, +of_seq)
)
SELECT of_seq AS seq, SUM(requests) AS requests, SUM(steps) AS steps, SUM(megapixels) AS megapixels,
       SUM(megapixel_steps) AS megapixel_steps, SUM(attention) AS attention
FROM ahead
GROUP BY of_seq
