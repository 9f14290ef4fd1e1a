SELECT EXISTS (
  SELECT 1 FROM webhook WHERE due_at <= :now AND receiver NOT IN (SELECT value FROM json_each(:busy))
)
