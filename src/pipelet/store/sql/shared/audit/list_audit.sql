SELECT * FROM audit_entry
WHERE CAST(:before_id AS bigint) IS NULL OR id < :before_id
ORDER BY id DESC LIMIT :limit
