-- Log, webhook and its attempts go with it; a trigger releases its input files.
DELETE FROM job WHERE id = :id AND finished_at IS NOT NULL RETURNING id
