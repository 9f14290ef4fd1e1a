UPDATE user_limit SET
  queued_images = queued_images + :image_count,
  submit_tokens = :submit_tokens,
  filled_at = :filled_at
WHERE owner = :owner
