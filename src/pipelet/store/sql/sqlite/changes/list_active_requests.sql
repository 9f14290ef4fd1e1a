-- `+` keeps the planner from the index on the owner where another one leads to fewer rows.
WITH wanted AS MATERIALIZED (SELECT value AS owner FROM json_each(:users))
SELECT owner, id FROM job WHERE state = 'running' AND +owner IN (SELECT owner FROM wanted)
UNION
SELECT owner, id FROM (
  SELECT owner, id FROM job
  WHERE finished_at > :since AND +owner IN (SELECT owner FROM wanted)
  ORDER BY finished_at DESC
  LIMIT :limit
)
UNION
SELECT owner, id FROM (
  SELECT owner, id FROM job
  WHERE owner IN (SELECT owner FROM wanted) AND submitted_at > :since
  ORDER BY submitted_at DESC
  LIMIT :limit
)
