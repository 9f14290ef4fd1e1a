INSERT INTO session (id, hash, key_id, created_at, last_seen_at, expires_at, user_agent)
VALUES (:id, :hash, :key_id, :created_at, :last_seen_at, :expires_at, :user_agent)
