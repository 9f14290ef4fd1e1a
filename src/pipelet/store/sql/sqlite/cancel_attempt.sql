UPDATE job
SET state = 'cancelled', finished_at = :now, failure_kind = :failure_kind, failure_message = :failure_message,
    finished_images = :finished_images, lease_token = NULL, lease_expires_at = NULL
WHERE id = :id AND lease_token = :token
RETURNING id
