-- Differs from SQLite's because several processes prune at the same time: each takes rows that no other is taking.
WITH old AS MATERIALIZED (
  SELECT owner, key FROM idempotency_key WHERE expires_at <= :now ORDER BY expires_at LIMIT :limit
  FOR UPDATE SKIP LOCKED
)
DELETE FROM idempotency_key USING old
WHERE idempotency_key.owner = old.owner AND idempotency_key.key = old.key
RETURNING idempotency_key.key
