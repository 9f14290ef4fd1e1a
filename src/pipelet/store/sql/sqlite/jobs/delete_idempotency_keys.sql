DELETE FROM idempotency_key
WHERE (owner, key) IN (SELECT owner, key FROM idempotency_key WHERE expires_at <= :now ORDER BY expires_at LIMIT :limit)
RETURNING key
