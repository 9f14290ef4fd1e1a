SELECT COUNT(*) AS count, MIN(since) AS oldest FROM webhook_delivery WHERE due_at IS NOT NULL
