UPDATE api_key SET
  max_priority = CASE WHEN CAST(:set_max_priority AS boolean) THEN CAST(:max_priority AS integer) ELSE max_priority END,
  max_queued_images =
    CASE WHEN CAST(:set_max_queued_images AS boolean) THEN CAST(:max_queued_images AS integer) ELSE max_queued_images END,
  max_running_images =
    CASE WHEN CAST(:set_max_running_images AS boolean) THEN CAST(:max_running_images AS integer) ELSE max_running_images END
WHERE id = :id
RETURNING *
