-- Ends an attempt that still holds its lease: the job gets its final state, or returns to the queue. It keeps its `seq`, so
-- it is the first of its priority again.
UPDATE job
SET state = :state, attempt = :attempt, finished_at = :finished_at, lease_token = NULL, lease_expires_at = NULL,
    images = :images, finished_images = :finished_images, inference_seconds = :inference_seconds,
    failure_kind = :failure_kind, failure_message = :failure_message,
    started_at = CASE WHEN :state <> 'queued' THEN started_at END,
    worker = CASE WHEN :state <> 'queued' THEN worker END,
    tasks_done = CASE :state WHEN 'queued' THEN NULL WHEN 'succeeded' THEN tasks_total ELSE tasks_done END,
    tasks_total = CASE WHEN :state <> 'queued' THEN tasks_total END
WHERE id = :id AND lease_token = :token
RETURNING id
