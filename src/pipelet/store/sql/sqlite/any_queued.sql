SELECT EXISTS (
  SELECT 1 FROM json_each(:apps) AS wanted
  WHERE EXISTS (SELECT 1 FROM job WHERE state = 'queued' AND app = wanted.value)
)
