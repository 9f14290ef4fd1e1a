INSERT INTO audit_entry (at, action, target, actor, key_id, address, once)
SELECT :at, :action, value, :actor, :key_id, :address, :once || value FROM json_each(:targets) WHERE true
ON CONFLICT (once) DO NOTHING
