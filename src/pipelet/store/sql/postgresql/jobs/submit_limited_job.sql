-- As `submit_job`, if the quotas of the key and of its user have room; otherwise returns what is used of them. Their rows are
-- locked, the key's first, so that each of several concurrent submits sees what the one before took.
WITH key AS MATERIALIZED (
  SELECT queued_images, max_queued_images FROM api_key WHERE :quota_limited AND id = :key_id FOR UPDATE
), quota AS MATERIALIZED (
  SELECT user_limit AS known, submit_tokens_at(user_limit, :submitted_at) AS tokens,
         (SELECT COALESCE(SUM(bytes), 0) FROM stored_bytes WHERE stored_bytes.owner = :owner) AS bytes
  FROM (SELECT COUNT(*) FROM key) AS after_key CROSS JOIN user_limit
  WHERE :user_limited AND user_limit.owner = :owner
  FOR UPDATE OF user_limit
), room AS MATERIALIZED (
  SELECT NOT EXISTS (SELECT 1 FROM key WHERE queued_images + :image_count > max_queued_images) AS of_key,
         NOT EXISTS (
           SELECT 1 FROM quota
           WHERE (known).queued_images + :image_count > (known).max_queued_images
              OR tokens < 1 AND (known).max_submits_per_second IS NOT NULL
              OR bytes >= (known).max_stored_bytes
         ) AS of_user
), level AS MATERIALIZED (
  SELECT name = 'fair' AS is_fair, fifo_turn, turn_clock_at(:model, :app, :priority) AS clock
  FROM room CROSS JOIN queue_order
  WHERE of_key AND of_user
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
                   model, turn, turn_cost, charged_priority, user_limited)
  SELECT :id, :app, :owner, :priority, :spec, :steps, :megapixels, :megapixel_steps, :attention,
         'queued', 0, :submitted_at, :estimated_seconds, :key_id, :quota_limited, :image_count,
         :start_deadline, :no_retry, :store_input, :inline_images, :retention_seconds, :webhook,
         :model,
         CASE WHEN is_fair THEN GREATEST((SELECT start FROM charged), (
           SELECT MAX(turn) FROM job
         WHERE state = 'queued' AND model = :model AND priority = :priority AND owner = :owner AND charged_priority IS NOT NULL
         ), 0) ELSE fifo_turn END,
         :turn_cost, CASE WHEN is_fair THEN :priority::integer END, :user_limited
  FROM level
  ON CONFLICT (id) DO NOTHING
  RETURNING seq, turn
), counted AS (
  UPDATE user_limit SET
    queued_images = user_limit.queued_images + :image_count,
    submit_tokens = CASE WHEN max_submits_per_second IS NOT NULL THEN tokens - 1 END,
    filled_at = CASE WHEN :submitted_at < filled_at - 10.0 THEN :submitted_at ELSE GREATEST(filled_at, :submitted_at) END
  FROM added CROSS JOIN quota
  WHERE user_limit.owner = :owner
)
SELECT seq, turn, NULL::json AS key, NULL::json AS quota FROM added
UNION ALL
SELECT seq, turn, NULL, NULL FROM job WHERE id = :id
UNION ALL
SELECT NULL, NULL,
       (SELECT to_json(key) FROM key WHERE NOT of_key),
       (SELECT to_jsonb(known) || jsonb_build_object('stored_bytes', bytes) FROM quota WHERE of_key)::json
FROM room
LIMIT 1
