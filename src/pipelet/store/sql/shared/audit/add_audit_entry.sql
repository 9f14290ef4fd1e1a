INSERT INTO audit_entry (at, action, target, actor, key_id, address, before, after)
VALUES (:at, :action, :target, :actor, :key_id, :address, :before, :after)
RETURNING id
