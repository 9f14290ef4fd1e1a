-- Differs from SQLite's because claims run side by side: each passes over the rows that others are just taking. Of one app,
-- or a claim would hold the heads of all wanted apps for a moment, and others would find those queues empty.
-- Where the key has limits, its row is locked and looked at once more: two claims at the same time would both find it free.
WITH head AS MATERIALIZED (
  SELECT seq, limited, key_id, image_count FROM job
  WHERE state = 'queued' AND app = :app AND id <> ALL (:passed_over::text[])
    AND COALESCE(start_by > :now, true)
    AND NOT (limited AND EXISTS (
      SELECT 1 FROM api_key WHERE api_key.id = job.key_id AND running_images + job.image_count > max_running_images
    ))
  ORDER BY priority DESC, seq
  LIMIT 1
  FOR UPDATE OF job SKIP LOCKED
), room AS MATERIALIZED (
  SELECT api_key.id
  FROM head JOIN api_key ON head.limited AND api_key.id = head.key_id
  WHERE COALESCE(running_images + head.image_count <= max_running_images, true)
  FOR UPDATE OF api_key
), claimed AS (
  UPDATE job
  SET state = 'running', attempt = attempt + 1, started_at = :now,
      worker = :worker, lease_token = :token, lease_expires_at = :expires_at
  FROM head
  WHERE job.seq = head.seq AND (NOT head.limited OR EXISTS (SELECT 1 FROM room))
  RETURNING job.*
), noted AS (
  INSERT INTO job_log (job_id, at, level, message)
  SELECT id, :now, 'INFO', format(:message, attempt) FROM claimed
)
SELECT * FROM claimed
