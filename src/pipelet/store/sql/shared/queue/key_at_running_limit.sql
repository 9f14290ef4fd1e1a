SELECT id FROM api_key WHERE id = :key_id AND running_images + :image_count > max_running_images
