UPDATE api_key SET
  max_priority = CASE WHEN :set_max_priority::boolean THEN :max_priority::integer ELSE max_priority END,
  max_queued_images = CASE WHEN :set_max_queued_images::boolean THEN :max_queued_images::integer ELSE max_queued_images END,
  max_running_images = CASE WHEN :set_max_running_images::boolean THEN :max_running_images::integer ELSE max_running_images END
WHERE id = :id
RETURNING *
