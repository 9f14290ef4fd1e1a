SELECT * FROM job WHERE finished_at > :since ORDER BY finished_at LIMIT :limit
