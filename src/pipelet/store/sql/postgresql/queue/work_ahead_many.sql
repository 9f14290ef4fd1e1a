-- As SQLite's. LATERAL with sums keeps the order of the joins: the planner does not know how few rows a run has, and would
-- read the whole queue.
WITH asked AS MATERIALIZED (
  SELECT priority AS of_priority, turn AS of_turn, seq AS of_seq
  FROM job WHERE seq = ANY(:seqs::bigint[]) AND state = 'queued'
),
wanted AS MATERIALIZED (SELECT app FROM unnest(:apps::text[]) AS wanted (app)),
own AS MATERIALIZED (
  SELECT asked.*, app, leaf_turn, leaf_seq
  FROM asked CROSS JOIN wanted CROSS JOIN LATERAL (
    SELECT turn AS leaf_turn, seq AS leaf_seq FROM queue_run
    WHERE queue_run.app = wanted.app AND grain = 32 AND priority = of_priority AND (turn, seq) <= (of_turn, of_seq)
    ORDER BY turn DESC, seq DESC LIMIT 1
  ) AS leaf
),
before AS MATERIALIZED (
  SELECT leaf.*, counted.*
  FROM (SELECT DISTINCT app, of_priority, leaf_turn, leaf_seq FROM own) AS leaf
  CROSS JOIN LATERAL (
    SELECT turn AS wide_turn, seq AS wide_seq FROM queue_run
    WHERE queue_run.app = leaf.app AND grain = 32768 AND priority = of_priority AND (turn, seq) <= (leaf_turn, leaf_seq)
    ORDER BY turn DESC, seq DESC LIMIT 1
  ) AS wide
  CROSS JOIN LATERAL (
    SELECT turn AS middle_turn, seq AS middle_seq FROM queue_run
    WHERE queue_run.app = leaf.app AND grain = 1024 AND priority = of_priority AND (turn, seq) <= (leaf_turn, leaf_seq)
    ORDER BY turn DESC, seq DESC LIMIT 1
  ) AS middle
  CROSS JOIN LATERAL (
    SELECT COALESCE(SUM(requests), 0) AS requests, COALESCE(SUM(steps), 0.0) AS steps,
           COALESCE(SUM(megapixels), 0.0) AS megapixels, COALESCE(SUM(megapixel_steps), 0.0) AS megapixel_steps,
           COALESCE(SUM(attention), 0.0) AS attention
    FROM (
      SELECT requests, steps, megapixels, megapixel_steps, attention FROM queue_run
      WHERE queue_run.app = leaf.app AND grain = 32768 AND priority = of_priority AND (turn, seq) < (wide_turn, wide_seq)
      UNION ALL
      SELECT requests, steps, megapixels, megapixel_steps, attention FROM queue_run
      WHERE queue_run.app = leaf.app AND grain = 1024 AND priority = of_priority
        AND (turn, seq) >= (wide_turn, wide_seq) AND (turn, seq) < (middle_turn, middle_seq)
      UNION ALL
      SELECT requests, steps, megapixels, megapixel_steps, attention FROM queue_run
      WHERE queue_run.app = leaf.app AND grain = 32 AND priority = of_priority
        AND (turn, seq) >= (middle_turn, middle_seq) AND (turn, seq) < (leaf_turn, leaf_seq)
    ) AS runs
  ) AS counted
),
above AS MATERIALIZED (
  SELECT of_priority, counted.*
  FROM (SELECT DISTINCT of_priority FROM asked) AS levels CROSS JOIN LATERAL (
    SELECT COALESCE(SUM(requests), 0) AS requests, COALESCE(SUM(steps), 0.0) AS steps,
           COALESCE(SUM(megapixels), 0.0) AS megapixels, COALESCE(SUM(megapixel_steps), 0.0) AS megapixel_steps,
           COALESCE(SUM(attention), 0.0) AS attention
    FROM queue_run
    WHERE app = ANY(:apps::text[]) AND grain = 0 AND priority > of_priority
  ) AS counted
),
ahead AS (
  SELECT of_seq, requests, steps, megapixels, megapixel_steps, attention
  FROM asked JOIN above USING (of_priority)
  UNION ALL
  SELECT of_seq, requests, steps, megapixels, megapixel_steps, attention
  FROM own JOIN before USING (app, of_priority, leaf_turn, leaf_seq)
  UNION ALL
  SELECT of_seq, within.*
  FROM own CROSS JOIN LATERAL (
    SELECT COUNT(*) AS requests, COALESCE(SUM(steps), 0.0) AS steps, COALESCE(SUM(megapixels), 0.0) AS megapixels,
           COALESCE(SUM(megapixel_steps), 0.0) AS megapixel_steps, COALESCE(SUM(attention), 0.0) AS attention
    FROM queue_rows(own.app, of_priority, leaf_turn, leaf_seq, of_turn, of_seq)
  ) AS within
)
SELECT of_seq AS seq, SUM(requests)::bigint AS requests, SUM(steps) AS steps, SUM(megapixels) AS megapixels,
       SUM(megapixel_steps) AS megapixel_steps, SUM(attention) AS attention
FROM ahead
GROUP BY of_seq
