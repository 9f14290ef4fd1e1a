UPDATE session SET last_seen_at = seen.at
FROM (SELECT id.value AS id, time.value AS at FROM json_each(:ids) AS id JOIN json_each(:times) AS time USING (key)) AS seen
WHERE session.id = seen.id AND last_seen_at <= seen.at
