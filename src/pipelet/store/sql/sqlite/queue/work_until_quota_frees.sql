-- The work before the given number of images that count for a key, or for a user, have started, and whether that many are
-- queued. The scan is bounded: rejected clients retry often, and a deep queue must not make that expensive.
WITH head AS MATERIALIZED (
  SELECT priority, turn, seq, steps, megapixels, megapixel_steps, attention,
         CASE
           WHEN (quota_limited AND key_id = :key_id) OR (user_limited AND owner = :owner) THEN image_count
           ELSE 0
         END AS of_quota
  FROM json_each(:apps) AS wanted
  CROSS JOIN (SELECT 0 AS is_limited UNION ALL VALUES (1))
  JOIN job ON seq IN (
    SELECT seq FROM job WHERE state = 'queued' AND app = wanted.value AND quota_limited = is_limited
    ORDER BY priority DESC, turn, arrival LIMIT :scan_limit
  )
  ORDER BY priority DESC, turn, seq
  LIMIT :scan_limit
), counted AS (
  SELECT *, SUM(of_quota) OVER (ORDER BY priority DESC, turn, seq) < :images AS is_before FROM head
)
SELECT COUNT(*) FILTER (WHERE is_before) AS requests,
       COALESCE(SUM(steps) FILTER (WHERE is_before), 0.0) AS steps,
       COALESCE(SUM(megapixels) FILTER (WHERE is_before), 0.0) AS megapixels,
       COALESCE(SUM(megapixel_steps) FILTER (WHERE is_before), 0.0) AS megapixel_steps,
       COALESCE(SUM(attention) FILTER (WHERE is_before), 0.0) AS attention,
       COUNT(*) FILTER (WHERE NOT is_before) > 0 OR COUNT(*) >= :scan_limit AS known
FROM counted
