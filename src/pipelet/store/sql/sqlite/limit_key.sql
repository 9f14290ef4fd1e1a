UPDATE api_key SET max_queued_images = :max_queued_images, max_running_images = :max_running_images WHERE id = :id RETURNING id
