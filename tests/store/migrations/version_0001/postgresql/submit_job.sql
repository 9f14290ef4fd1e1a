-- Differs from SQLite's because a connection may break between the commit and its reply: then the statement is sent again
-- and returns the row that is already there.
WITH added AS (
  INSERT INTO job (id, app, owner, priority, spec, steps, megapixels, megapixel_steps, attention,
                   state, attempt, submitted_at, estimated_seconds, key_id, quota_limited, image_count,
                   start_deadline, no_retry, store_input, retention_seconds, webhook)
  VALUES (:id, :app, :owner, :priority, :spec, :steps, :megapixels, :megapixel_steps, :attention,
          'queued', 0, :submitted_at, :estimated_seconds, :key_id, :quota_limited, :image_count,
          :start_deadline, :no_retry, :store_input, :retention_seconds, :webhook)
  ON CONFLICT (id) DO NOTHING
  RETURNING seq
)
SELECT seq FROM added
UNION ALL
SELECT seq FROM job WHERE id = :id
LIMIT 1
