-- Differs from SQLite's because claims run concurrently: each skips the rows that others are taking. It takes from one app
-- only: otherwise a claim would hold the heads of all wanted apps for a moment, and others would find those queues empty.
-- If the key has limits, its row is locked and checked again: two concurrent claims would both find room.
WITH head AS MATERIALIZED (
  SELECT seq, quota_limited, key_id, image_count FROM job
  WHERE state = 'queued' AND app = :app AND id <> ALL (:exclude_ids::text[])
    AND COALESCE(start_deadline > :now, true)
    AND NOT (quota_limited AND EXISTS (
      SELECT 1 FROM api_key WHERE api_key.id = job.key_id AND running_images + job.image_count > max_running_images
    ))
  ORDER BY priority DESC, seq
  LIMIT 1
  FOR UPDATE OF job SKIP LOCKED
), room AS MATERIALIZED (
  SELECT api_key.id
  FROM head JOIN api_key ON head.quota_limited AND api_key.id = head.key_id
  WHERE COALESCE(running_images + head.image_count <= max_running_images, true)
  FOR UPDATE OF api_key
), claimed AS (
  UPDATE job
  SET state = 'running', attempt = attempt + 1, started_at = :now,
      worker = :worker, lease_token = :token, lease_expires_at = :expires_at
  FROM head
  WHERE job.seq = head.seq AND (NOT head.quota_limited OR EXISTS (SELECT 1 FROM room))
  RETURNING job.*
), logged AS (
  INSERT INTO job_log (job_id, at, level, message)
  SELECT id, :now, 'INFO', format(:message, attempt) FROM claimed
)
SELECT * FROM claimed
