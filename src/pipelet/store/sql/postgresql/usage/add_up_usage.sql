-- Differs from SQLite's because one statement adds up and deletes.
WITH taken AS (
  DELETE FROM usage_entry WHERE ctid = ANY (ARRAY(SELECT ctid FROM usage_entry LIMIT :limit)) RETURNING *
), added AS (
  INSERT INTO usage AS known
    (day, owner, key_id, app, requests, images, pixels, device_microseconds, failed, cancelled)
  SELECT day, owner, key_id, app, COUNT(*), SUM(images), SUM(pixels), SUM(device_microseconds),
         COUNT(*) FILTER (WHERE state = 'failed'), COUNT(*) FILTER (WHERE state = 'cancelled')
  FROM taken
  GROUP BY day, owner, key_id, app
  ON CONFLICT (day, owner, key_id, app) DO UPDATE SET
    requests = known.requests + excluded.requests,
    images = known.images + excluded.images,
    pixels = known.pixels + excluded.pixels,
    device_microseconds = known.device_microseconds + excluded.device_microseconds,
    failed = known.failed + excluded.failed,
    cancelled = known.cancelled + excluded.cancelled
)
SELECT ended_at, app, state, queue_seconds, total_seconds, estimated_seconds FROM taken
