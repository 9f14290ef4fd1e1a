-- In the order of their ids, so that two processes do not wait for each other.
WITH used AS (
  SELECT api_key.id, given.at
  FROM unnest(CAST(:ids AS text[]), CAST(:times AS double precision[])) AS given (id, at)
  JOIN api_key ON api_key.id = given.id
  WHERE last_used_at IS NULL OR last_used_at <= given.at - 60
  ORDER BY api_key.id FOR NO KEY UPDATE OF api_key
)
UPDATE api_key SET last_used_at = used.at FROM used WHERE api_key.id = used.id
