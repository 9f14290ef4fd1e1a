-- How full the key is, where it has no room for so many images more.
SELECT queued_images, max_queued_images FROM api_key
WHERE id = :key_id AND queued_images + :image_count > max_queued_images
