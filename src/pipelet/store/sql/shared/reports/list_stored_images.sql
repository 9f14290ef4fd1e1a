SELECT finished_at, seq, app, owner, COALESCE(images, finished_images) AS stored
FROM job
WHERE finished_at IS NOT NULL AND (finished_at, seq) > (:finished_at, :seq)
ORDER BY finished_at, seq
LIMIT :limit
