SELECT COUNT(*) AS count, MIN(since) AS oldest FROM webhook WHERE due_at IS NOT NULL
