-- As `submit_job`, if the key's quota has room for the images; otherwise returns how much of it is used. The key's row is
-- locked, so that each of several concurrent submits sees what the one before took.
WITH key AS MATERIALIZED (
  SELECT queued_images, max_queued_images FROM api_key WHERE id = :key_id FOR UPDATE
), added AS (
  INSERT INTO job (id, app, owner, priority, spec, steps, megapixels, megapixel_steps, attention,
                   state, attempt, submitted_at, estimated_seconds, key_id, quota_limited, image_count,
                   start_deadline, no_retry, store_input, retention_seconds, webhook)
  SELECT :id, :app, :owner, :priority, :spec, :steps, :megapixels, :megapixel_steps, :attention,
         'queued', 0, :submitted_at, :estimated_seconds, :key_id, :quota_limited, :image_count,
         :start_deadline, :no_retry, :store_input, :retention_seconds, :webhook
  FROM key
  WHERE COALESCE(queued_images + :image_count <= max_queued_images, true)
  ON CONFLICT (id) DO NOTHING
  RETURNING seq
)
SELECT seq, NULL::integer AS queued_images, NULL::integer AS max_queued_images FROM added
UNION ALL
SELECT seq, NULL, NULL FROM job WHERE id = :id
UNION ALL
SELECT NULL, queued_images, max_queued_images FROM key
LIMIT 1
