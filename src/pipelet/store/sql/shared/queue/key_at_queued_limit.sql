-- How many images the key has queued, if its quota has no room for the given number more.
SELECT queued_images, max_queued_images FROM api_key
WHERE id = :key_id AND queued_images + :image_count > max_queued_images
