-- As `submit_job`, where the key has room for so many images more; else how full it is. The key's row is locked, so that of
-- several who submit at the same time each sees what the one before took.
WITH key AS MATERIALIZED (
  SELECT queued_images, max_queued_images FROM api_key WHERE id = :key_id FOR UPDATE
), arrived AS (
  INSERT INTO job (id, app, owner, priority, spec, steps, megapixels, megapixel_steps, attention,
                   state, attempt, submitted_at, expected_seconds, key_id, limited, image_count,
                   start_by, single_attempt, keep_input, keep_seconds, webhook)
  SELECT :id, :app, :owner, :priority, :spec, :steps, :megapixels, :megapixel_steps, :attention,
         'queued', 0, :submitted_at, :expected_seconds, :key_id, :limited, :image_count,
         :start_by, :single_attempt, :keep_input, :keep_seconds, :webhook
  FROM key
  WHERE COALESCE(queued_images + :image_count <= max_queued_images, true)
  ON CONFLICT (id) DO NOTHING
  RETURNING seq
)
SELECT seq, NULL::integer AS queued_images, NULL::integer AS max_queued_images FROM arrived
UNION ALL
SELECT seq, NULL, NULL FROM job WHERE id = :id
UNION ALL
SELECT NULL, queued_images, max_queued_images FROM key
LIMIT 1
