INSERT INTO replaced_secret (hash, key_id, expires_at) VALUES (:hash, :id, :expires_at) RETURNING key_id
