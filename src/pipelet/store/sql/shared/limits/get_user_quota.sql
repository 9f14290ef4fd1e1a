SELECT user_limit.*, CAST((
  SELECT COALESCE(SUM(bytes), 0) FROM stored_bytes WHERE owner = :owner
) AS bigint) AS stored_bytes
FROM user_limit
WHERE owner = :owner
