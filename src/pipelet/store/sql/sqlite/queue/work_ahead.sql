-- What is before a place in the order `priority DESC, turn, seq`: the higher priorities, then, in each app, the runs before
-- the one that the place is in, widest first, and the rows before it in that run. Jobs that their key's running quota blocks
-- right now are counted like all others: the position is then too pessimistic for a moment, and costs no more.
-- The unary plus takes the affinity off a value: with one, SQLite would use the bounds of `turn` alone.
WITH wanted AS MATERIALIZED (SELECT value AS app FROM json_each(:apps)),
own AS MATERIALIZED (
  SELECT app,
         (SELECT turn FROM queue_run AS run WHERE run.app = wanted.app AND grain = 32768 AND priority = :priority
          AND (turn, seq) <= (:turn, :seq) ORDER BY turn DESC, seq DESC LIMIT 1) AS wide_turn,
         (SELECT seq FROM queue_run AS run WHERE run.app = wanted.app AND grain = 32768 AND priority = :priority
          AND (turn, seq) <= (:turn, :seq) ORDER BY turn DESC, seq DESC LIMIT 1) AS wide_seq,
         (SELECT turn FROM queue_run AS run WHERE run.app = wanted.app AND grain = 1024 AND priority = :priority
          AND (turn, seq) <= (:turn, :seq) ORDER BY turn DESC, seq DESC LIMIT 1) AS middle_turn,
         (SELECT seq FROM queue_run AS run WHERE run.app = wanted.app AND grain = 1024 AND priority = :priority
          AND (turn, seq) <= (:turn, :seq) ORDER BY turn DESC, seq DESC LIMIT 1) AS middle_seq,
         (SELECT turn FROM queue_run AS run WHERE run.app = wanted.app AND grain = 32 AND priority = :priority
          AND (turn, seq) <= (:turn, :seq) ORDER BY turn DESC, seq DESC LIMIT 1) AS leaf_turn,
         (SELECT seq FROM queue_run AS run WHERE run.app = wanted.app AND grain = 32 AND priority = :priority
          AND (turn, seq) <= (:turn, :seq) ORDER BY turn DESC, seq DESC LIMIT 1) AS leaf_seq
  FROM wanted
),
ahead AS (
  SELECT requests, steps, megapixels, megapixel_steps, attention
  FROM wanted CROSS JOIN queue_run USING (app)
  WHERE grain = 0 AND priority > :priority
  UNION ALL
  SELECT requests, steps, megapixels, megapixel_steps, attention
  FROM own CROSS JOIN queue_run USING (app)
  WHERE grain = 32768 AND priority = :priority AND (turn, seq) < (+wide_turn, +wide_seq)
  UNION ALL
  SELECT requests, steps, megapixels, megapixel_steps, attention
  FROM own CROSS JOIN queue_run USING (app)
  WHERE grain = 1024 AND priority = :priority
    AND (turn, seq) >= (+wide_turn, +wide_seq) AND (turn, seq) < (+middle_turn, +middle_seq)
  UNION ALL
  SELECT requests, steps, megapixels, megapixel_steps, attention
  FROM own CROSS JOIN queue_run USING (app)
  WHERE grain = 32 AND priority = :priority
    AND (turn, seq) >= (+middle_turn, +middle_seq) AND (turn, seq) < (+leaf_turn, +leaf_seq)
  UNION ALL
  SELECT 1, steps, megapixels, megapixel_steps, attention
  FROM own CROSS JOIN job USING (app)
  WHERE state = 'queued' AND quota_limited IN (0, 1) AND priority = :priority
    AND (turn, arrival) >= (+leaf_turn, +leaf_seq) AND (turn, arrival) < (:turn, :seq)
)
SELECT COALESCE(SUM(requests), 0) AS requests, COALESCE(SUM(steps), 0.0) AS steps,
       COALESCE(SUM(megapixels), 0.0) AS megapixels, COALESCE(SUM(megapixel_steps), 0.0) AS megapixel_steps,
       COALESCE(SUM(attention), 0.0) AS attention
FROM ahead
