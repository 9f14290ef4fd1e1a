SELECT api_key.* FROM replaced_secret
JOIN api_key ON api_key.id = replaced_secret.key_id
WHERE replaced_secret.hash = :hash AND replaced_secret.expires_at > :now
