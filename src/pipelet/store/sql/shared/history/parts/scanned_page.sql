SELECT * FROM (
  SELECT id, submitted_at, state, CAST(NULL AS bigint) AS scanned FROM scanned
  WHERE is_match AND submitted_at <= :after_at AND (submitted_at < :after_at OR id < :after_id)
  ORDER BY submitted_at DESC, id DESC
  LIMIT :limit
) AS matching
UNION ALL
SELECT * FROM (
  SELECT id, submitted_at, state, (SELECT COUNT(*) FROM scanned) AS scanned FROM scanned ORDER BY submitted_at, id LIMIT 1
) AS seen
