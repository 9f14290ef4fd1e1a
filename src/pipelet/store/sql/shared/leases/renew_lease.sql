UPDATE job SET lease_expires_at = :expires_at
WHERE id = :id AND lease_token = :token
RETURNING id
