INSERT INTO api_key (id, name, owner, hash, created_at, expires_at, revoked_at, max_priority)
VALUES (:id, :name, :owner, :hash, :created_at, :expires_at, :revoked_at, :max_priority)
