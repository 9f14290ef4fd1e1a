-- Whether a job cannot start now because its key, or its user, runs as many images as it may.
SELECT 1 AS blocked FROM api_key WHERE id = :key_id AND running_images + :image_count > max_running_images
UNION ALL
SELECT 1 FROM user_limit
WHERE CAST(:user_limited AS boolean) AND owner = :owner AND running_images + :image_count > max_running_images
