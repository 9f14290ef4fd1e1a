-- Only while a client watches, and only from the attempt that holds the lease.
UPDATE preview SET made_at = :made_at, image_index = :image_index, step = :step, image = :image
WHERE job_id = :id AND EXISTS (SELECT 1 FROM job WHERE id = :id AND lease_token = :token)
RETURNING job_id
