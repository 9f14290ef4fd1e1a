UPDATE upload SET stored = true, expires_at = :expires_at WHERE id = :id RETURNING id
