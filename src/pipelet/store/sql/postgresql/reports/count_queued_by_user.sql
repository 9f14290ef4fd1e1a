-- Differs from SQLite's because lists come as arrays.
SELECT owner, COUNT(*) AS requests
FROM unnest(:apps::text[]) AS wanted (app)
CROSS JOIN LATERAL (SELECT owner FROM job WHERE state = 'queued' AND app = wanted.app LIMIT :scan_limit) AS head
GROUP BY owner
ORDER BY requests DESC, owner
LIMIT :limit
