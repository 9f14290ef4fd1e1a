UPDATE api_key SET last_used_at = used.at
FROM (SELECT id.value AS id, time.value AS at FROM json_each(:ids) AS id JOIN json_each(:times) AS time USING (key)) AS used
WHERE api_key.id = used.id AND (last_used_at IS NULL OR last_used_at <= used.at - 60)
