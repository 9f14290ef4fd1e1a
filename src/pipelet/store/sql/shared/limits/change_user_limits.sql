-- Changes the limits whose `set_…` is true, and no others. A bucket of submits whose limit is changed is full.
INSERT INTO user_limit (owner, max_priority, max_queued_images, max_running_images, max_submits_per_second, submit_burst,
                        max_stored_bytes, max_webhooks_per_minute)
VALUES (:owner, :max_priority, :max_queued_images, :max_running_images, :max_submits_per_second, :submit_burst,
        :max_stored_bytes, :max_webhooks_per_minute)
ON CONFLICT (owner) DO UPDATE SET
  max_priority = CASE
    WHEN CAST(:set_max_priority AS boolean) THEN excluded.max_priority ELSE user_limit.max_priority
  END,
  max_queued_images = CASE
    WHEN CAST(:set_max_queued_images AS boolean) THEN excluded.max_queued_images ELSE user_limit.max_queued_images
  END,
  max_running_images = CASE
    WHEN CAST(:set_max_running_images AS boolean) THEN excluded.max_running_images ELSE user_limit.max_running_images
  END,
  max_submits_per_second = CASE
    WHEN CAST(:set_max_submits_per_second AS boolean) THEN excluded.max_submits_per_second ELSE user_limit.max_submits_per_second
  END,
  submit_burst = CASE
    WHEN CAST(:set_submit_burst AS boolean) THEN excluded.submit_burst ELSE user_limit.submit_burst
  END,
  max_stored_bytes = CASE
    WHEN CAST(:set_max_stored_bytes AS boolean) THEN excluded.max_stored_bytes ELSE user_limit.max_stored_bytes
  END,
  max_webhooks_per_minute = CASE
    WHEN CAST(:set_max_webhooks_per_minute AS boolean) THEN excluded.max_webhooks_per_minute ELSE user_limit.max_webhooks_per_minute
  END,
  submit_tokens = CASE
    WHEN CAST(:set_max_submits_per_second AS boolean) OR CAST(:set_submit_burst AS boolean) THEN NULL
    ELSE user_limit.submit_tokens
  END
RETURNING *
