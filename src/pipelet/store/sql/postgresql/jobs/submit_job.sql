-- Differs from SQLite's because a connection may break between the commit and its reply: then the statement is sent again
-- and returns the row that is already there; and because submits run concurrently: the account's row is locked, so that
-- each of several submits of a user is charged on top of the one before.
WITH level AS MATERIALIZED (
  SELECT name = 'fair' AS is_fair, fifo_turn, turn_clock_at(:model, :app, :priority) AS clock FROM queue_order
), charged AS (
  INSERT INTO turn_account AS known (model, priority, owner, finish)
  SELECT :model, :priority, :owner, clock + :turn_cost FROM level
  WHERE is_fair AND NOT EXISTS (SELECT 1 FROM job WHERE id = :id)
  ON CONFLICT (model, priority, owner) DO UPDATE
  SET finish = GREATEST(known.finish + :turn_cost, excluded.finish)
  RETURNING finish - :turn_cost AS start
), added AS (
  INSERT INTO job (id, app, owner, priority, spec, steps, megapixels, megapixel_steps, attention,
                   state, attempt, submitted_at, estimated_seconds, key_id, quota_limited, image_count,
                   start_deadline, no_retry, store_input, inline_images, retention_seconds, webhook,
                   model, turn, turn_cost, charged_priority)
  SELECT :id, :app, :owner, :priority, :spec, :steps, :megapixels, :megapixel_steps, :attention,
         'queued', 0, :submitted_at, :estimated_seconds, :key_id, :quota_limited, :image_count,
         :start_deadline, :no_retry, :store_input, :inline_images, :retention_seconds, :webhook,
         :model,
         CASE WHEN is_fair THEN GREATEST((SELECT start FROM charged), (
           SELECT MAX(turn) FROM job
         WHERE state = 'queued' AND model = :model AND priority = :priority AND owner = :owner AND charged_priority IS NOT NULL
         ), 0) ELSE fifo_turn END,
         :turn_cost, CASE WHEN is_fair THEN :priority::integer END
  FROM level
  ON CONFLICT (id) DO NOTHING
  RETURNING seq, turn
)
SELECT seq, turn FROM added
UNION ALL
SELECT seq, turn FROM job WHERE id = :id
LIMIT 1
