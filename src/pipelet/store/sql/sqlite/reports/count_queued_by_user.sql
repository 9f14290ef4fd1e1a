-- The inner query reads in the order of the queue's index, without another sort.
SELECT owner, COUNT(*) AS requests
FROM json_each(:apps) AS wanted
JOIN job ON seq IN (SELECT seq FROM job WHERE state = 'queued' AND app = wanted.value LIMIT :scan_limit)
GROUP BY owner
ORDER BY requests DESC, owner
LIMIT :limit
