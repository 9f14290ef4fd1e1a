DELETE FROM login_code WHERE hash = :hash RETURNING key_id, expires_at
