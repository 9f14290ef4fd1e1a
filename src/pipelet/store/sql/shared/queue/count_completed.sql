SELECT app, COUNT(*) AS requests, SUM(image_count) AS images
FROM job
WHERE finished_at > :since AND state = 'succeeded'
GROUP BY app
