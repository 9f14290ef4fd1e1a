DELETE FROM upload WHERE id IN (SELECT id FROM upload WHERE expires_at <= :now ORDER BY expires_at LIMIT :limit)
RETURNING id
