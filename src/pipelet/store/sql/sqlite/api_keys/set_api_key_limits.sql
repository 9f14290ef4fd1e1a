UPDATE api_key SET
  max_priority = CASE WHEN :set_max_priority THEN :max_priority ELSE max_priority END,
  max_queued_images = CASE WHEN :set_max_queued_images THEN :max_queued_images ELSE max_queued_images END,
  max_running_images = CASE WHEN :set_max_running_images THEN :max_running_images ELSE max_running_images END
WHERE id = :id
RETURNING *
