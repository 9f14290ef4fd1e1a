-- Differs from SQLite's because a connection may break between the commit and its answer: then it is sent again, and the
-- row that is there already answers.
WITH arrived AS (
  INSERT INTO job (id, app, owner, priority, spec, steps, megapixels, megapixel_steps, attention,
                   state, attempt, submitted_at, expected_seconds, key_id, limited, image_count,
                   start_by, single_attempt, keep_input, keep_seconds, webhook)
  VALUES (:id, :app, :owner, :priority, :spec, :steps, :megapixels, :megapixel_steps, :attention,
          'queued', 0, :submitted_at, :expected_seconds, :key_id, :limited, :image_count,
          :start_by, :single_attempt, :keep_input, :keep_seconds, :webhook)
  ON CONFLICT (id) DO NOTHING
  RETURNING seq
)
SELECT seq FROM arrived
UNION ALL
SELECT seq FROM job WHERE id = :id
LIMIT 1
