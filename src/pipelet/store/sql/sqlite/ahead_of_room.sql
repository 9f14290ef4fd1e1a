-- What starts before so many of a key's queued images have begun, and whether they are there. Only so many requests are looked
-- at: who is refused asks, again and again, and a deep queue must not make that dear.
WITH head AS MATERIALIZED (
  SELECT priority, seq, steps, megapixels, megapixel_steps, attention,
         CASE WHEN limited AND key_id = :key_id THEN image_count ELSE 0 END AS of_key
  FROM json_each(:apps) AS wanted
  JOIN job ON seq IN (
    SELECT seq FROM job WHERE state = 'queued' AND app = wanted.value ORDER BY priority DESC, seq LIMIT :most
  )
  ORDER BY priority DESC, seq
  LIMIT :most
), counted AS (
  SELECT *, SUM(of_key) OVER (ORDER BY priority DESC, seq) < :images AS is_before FROM head
)
SELECT COUNT(*) FILTER (WHERE is_before) AS requests,
       COALESCE(SUM(steps) FILTER (WHERE is_before), 0.0) AS steps,
       COALESCE(SUM(megapixels) FILTER (WHERE is_before), 0.0) AS megapixels,
       COALESCE(SUM(megapixel_steps) FILTER (WHERE is_before), 0.0) AS megapixel_steps,
       COALESCE(SUM(attention) FILTER (WHERE is_before), 0.0) AS attention,
       COUNT(*) FILTER (WHERE NOT is_before) > 0 OR COUNT(*) >= :most AS known
FROM counted
