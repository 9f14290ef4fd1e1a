-- What the operator has kept long enough, and what its user wanted kept for less.
DELETE FROM job
WHERE seq IN (
  SELECT seq FROM (SELECT seq FROM job WHERE finished_at < :before ORDER BY finished_at LIMIT :limit)
  UNION ALL
  SELECT seq FROM (
    SELECT seq FROM job
    WHERE finished_at IS NOT NULL AND keep_seconds IS NOT NULL AND finished_at + keep_seconds <= :now
    ORDER BY finished_at + keep_seconds LIMIT :limit
  )
)
RETURNING id
