INSERT INTO usage AS known
  (day, owner, key_id, app, requests, images, pixels, device_microseconds, failed, cancelled)
SELECT day, owner, key_id, app, COUNT(*), SUM(images), SUM(pixels), SUM(device_microseconds),
       COUNT(*) FILTER (WHERE state = 'failed'), COUNT(*) FILTER (WHERE state = 'cancelled')
FROM (SELECT * FROM usage_entry ORDER BY rowid LIMIT :limit)
WHERE true -- or the parser would take ON for that of a join
GROUP BY day, owner, key_id, app
ON CONFLICT (day, owner, key_id, app) DO UPDATE SET
  requests = known.requests + excluded.requests,
  images = known.images + excluded.images,
  pixels = known.pixels + excluded.pixels,
  device_microseconds = known.device_microseconds + excluded.device_microseconds,
  failed = known.failed + excluded.failed,
  cancelled = known.cancelled + excluded.cancelled
