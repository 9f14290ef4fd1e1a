SELECT id, owner, key, bytes, expires_at, used FROM upload
WHERE key = :key AND owner = :owner AND expires_at > :now AND stored
