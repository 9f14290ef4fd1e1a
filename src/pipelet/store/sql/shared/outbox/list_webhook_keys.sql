SELECT * FROM webhook_key ORDER BY created_at, role DESC
