DELETE FROM webhook_key
