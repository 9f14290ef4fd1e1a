UPDATE api_key SET
  name = CASE WHEN CAST(:set_name AS boolean) THEN CAST(:name AS text) ELSE name END,
  scopes = CASE WHEN CAST(:set_scopes AS boolean) THEN CAST(:scopes AS text) ELSE scopes END,
  expires_at = CASE WHEN CAST(:set_expires_at AS boolean) THEN CAST(:expires_at AS double precision) ELSE expires_at END,
  max_priority = CASE WHEN CAST(:set_max_priority AS boolean) THEN CAST(:max_priority AS integer) ELSE max_priority END,
  max_queued_images =
    CASE WHEN CAST(:set_max_queued_images AS boolean) THEN CAST(:max_queued_images AS integer) ELSE max_queued_images END,
  max_running_images =
    CASE WHEN CAST(:set_max_running_images AS boolean) THEN CAST(:max_running_images AS integer) ELSE max_running_images END
WHERE id = :id
RETURNING *
