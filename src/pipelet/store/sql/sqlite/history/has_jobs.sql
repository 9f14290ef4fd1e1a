-- Whether there are more than `skipped` jobs, from the index alone.
SELECT 1 AS found FROM job WHERE submitted_at >= :since AND submitted_at < :until LIMIT 1 OFFSET :skipped
