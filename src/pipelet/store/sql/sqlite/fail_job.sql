UPDATE job
SET state = 'failed', finished_at = :now, failure_kind = :failure_kind, failure_message = :failure_message,
    lease_token = NULL, lease_expires_at = NULL
WHERE id = :id AND lease_token = :token
RETURNING id
