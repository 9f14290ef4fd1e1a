-- Without RETURNING: each further step is one more wait for the interpreter's lock, which a busy event loop holds.
INSERT INTO job (id, app, owner, priority, spec, steps, megapixels, megapixel_steps, attention,
                 state, attempt, submitted_at, estimated_seconds, key_id, quota_limited, image_count,
                 start_deadline, no_retry, store_input, inline_images, retention_seconds, webhook,
                 model, turn, turn_cost, charged_priority, user_limited)
VALUES (:id, :app, :owner, :priority, :spec, :steps, :megapixels, :megapixel_steps, :attention,
        'queued', 0, :submitted_at, :estimated_seconds, :key_id, :quota_limited, :image_count,
        :start_deadline, :no_retry, :store_input, :inline_images, :retention_seconds, :webhook,
        :model, :turn, :turn_cost, :charged_priority, :user_limited)
