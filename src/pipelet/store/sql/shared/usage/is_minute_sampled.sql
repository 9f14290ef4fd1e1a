SELECT 1 AS found FROM minute_sample WHERE minute = :minute AND queued IS NOT NULL LIMIT 1
