-- Counts a submit against the limits of its user, if they have room: the rules of `UserQuota.refusal`. It changes no row if
-- they have none, or if the user has no limits.
UPDATE user_limit SET
  queued_images = queued_images + :image_count,
  submit_tokens = CASE
    WHEN max_submits_per_second IS NULL THEN NULL
    WHEN submit_tokens IS NULL OR :submitted_at < filled_at - :clock_tolerance THEN submit_burst - 1.0
    ELSE MIN(submit_burst, submit_tokens + MAX(0.0, :submitted_at - filled_at) * max_submits_per_second) - 1.0
  END,
  filled_at = CASE
    WHEN max_submits_per_second IS NULL OR :submitted_at < filled_at - :clock_tolerance THEN :submitted_at
    ELSE MAX(filled_at, :submitted_at)
  END
WHERE owner = :owner
  AND (max_queued_images IS NULL OR queued_images + :image_count <= max_queued_images)
  AND (max_stored_bytes IS NULL
       OR max_stored_bytes > COALESCE((SELECT bytes FROM stored_bytes WHERE stored_bytes.owner = :owner), 0))
  AND (max_submits_per_second IS NULL OR CASE
    WHEN submit_tokens IS NULL OR :submitted_at < filled_at - :clock_tolerance THEN submit_burst >= 1
    ELSE MIN(submit_burst, submit_tokens + MAX(0.0, :submitted_at - filled_at) * max_submits_per_second) >= 1.0
  END)
