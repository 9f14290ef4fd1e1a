-- Without RETURNING: each step more is a wait more for the interpreter's lock, which a busy event loop holds.
INSERT INTO job (id, app, owner, priority, spec, steps, megapixels, megapixel_steps, attention,
                 state, attempt, submitted_at, expected_seconds, key_id, limited, image_count,
                 start_by, single_attempt, keep_input, keep_seconds, webhook)
VALUES (:id, :app, :owner, :priority, :spec, :steps, :megapixels, :megapixel_steps, :attention,
        'queued', 0, :submitted_at, :expected_seconds, :key_id, :limited, :image_count,
        :start_by, :single_attempt, :keep_input, :keep_seconds, :webhook)
