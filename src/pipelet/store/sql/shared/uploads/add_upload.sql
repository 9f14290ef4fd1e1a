-- Triggers note its file and count it.
INSERT INTO upload (id, owner, key, bytes, expires_at) VALUES (:id, :owner, :key, :bytes, :expires_at)
