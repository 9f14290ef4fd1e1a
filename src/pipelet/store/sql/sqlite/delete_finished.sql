DELETE FROM job
WHERE seq IN (SELECT seq FROM job WHERE finished_at < :before ORDER BY finished_at LIMIT :limit)
RETURNING id
