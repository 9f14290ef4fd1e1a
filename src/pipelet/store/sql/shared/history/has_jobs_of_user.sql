-- As `has_jobs`, for the jobs of one user.
SELECT 1 AS found FROM job
WHERE owner = :user AND submitted_at >= :since AND submitted_at < :until
LIMIT 1 OFFSET :skipped
