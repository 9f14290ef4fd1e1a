-- Differs from SQLite's because several processes prune at the same time: each takes rows that no other is taking.
DELETE FROM upload WHERE id IN (
  SELECT id FROM upload WHERE expires_at <= :now ORDER BY expires_at LIMIT :limit FOR UPDATE SKIP LOCKED
)
RETURNING id
