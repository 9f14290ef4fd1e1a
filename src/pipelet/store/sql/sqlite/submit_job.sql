INSERT INTO job (id, app, owner, priority, spec, steps, megapixels, megapixel_steps, attention,
                 state, attempt, submitted_at, expected_seconds)
VALUES (:id, :app, :owner, :priority, :spec, :steps, :megapixels, :megapixel_steps, :attention,
        'queued', 0, :submitted_at, :expected_seconds)
RETURNING seq
