-- Differs from SQLite's because lists come as arrays.
SELECT owner, id FROM job WHERE state = 'running' AND owner = ANY(:users::text[])
UNION
(
  SELECT owner, id FROM job
  WHERE finished_at > :since AND owner = ANY(:users::text[])
  ORDER BY finished_at DESC
  LIMIT :limit
)
UNION
(
  SELECT owner, id FROM job
  WHERE owner = ANY(:users::text[]) AND submitted_at > :since
  ORDER BY submitted_at DESC
  LIMIT :limit
)
