UPDATE job
SET state = 'succeeded', finished_at = :now, images = :images, inference_seconds = :inference_seconds,
    tasks_done = tasks_total, lease_token = NULL, lease_expires_at = NULL
WHERE id = :id AND lease_token = :token
RETURNING id
