INSERT INTO login_code (hash, key_id, expires_at) VALUES (:hash, :key_id, :expires_at) RETURNING key_id
