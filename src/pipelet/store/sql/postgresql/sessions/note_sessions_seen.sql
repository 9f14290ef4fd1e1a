-- In the order of their ids, so that two processes do not wait for each other.
WITH seen AS (
  SELECT session.id, given.at
  FROM unnest(CAST(:ids AS text[]), CAST(:times AS double precision[])) AS given (id, at)
  JOIN session ON session.id = given.id
  WHERE last_seen_at <= given.at
  ORDER BY session.id FOR NO KEY UPDATE OF session
)
UPDATE session SET last_seen_at = seen.at FROM seen WHERE session.id = seen.id
