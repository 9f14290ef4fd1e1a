-- Of several at once, one finds the secret that it has read.
UPDATE api_key SET hash = :new_hash WHERE id = :id AND hash = :hash AND revoked_at IS NULL RETURNING *
