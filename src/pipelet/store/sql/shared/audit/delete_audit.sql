DELETE FROM audit_entry WHERE id IN (SELECT id FROM audit_entry WHERE at < :before ORDER BY at LIMIT :limit) RETURNING id
