-- As `claim_job`, from the jobs of a limited key with a number of images. The rows of the key and its user are locked, in
-- this order, and checked again: two concurrent claims would both find room.
WITH head AS MATERIALIZED (
  SELECT seq, key_id, owner, user_limited, image_count FROM job
  WHERE state = 'queued' AND app = :app AND quota_limited = true AND key_id = :key_id AND image_count = :image_count
    AND id <> ALL (:exclude_ids::text[]) AND COALESCE(start_deadline > :now, true)
  ORDER BY priority DESC, turn, seq
  LIMIT 1
  FOR UPDATE SKIP LOCKED
), room AS MATERIALIZED (
  SELECT api_key.id
  FROM head JOIN api_key ON api_key.id = head.key_id
  WHERE COALESCE(running_images + head.image_count <= max_running_images, true)
  FOR UPDATE OF api_key
), user_room AS MATERIALIZED (
  SELECT user_limit.owner
  FROM room CROSS JOIN head JOIN user_limit ON head.user_limited AND user_limit.owner = head.owner
  WHERE COALESCE(running_images + head.image_count <= max_running_images, true)
  FOR UPDATE OF user_limit
), claimed AS (
  UPDATE job
  SET state = 'running', attempt = attempt + 1, started_at = :now,
      worker = :worker, lease_token = :token, lease_expires_at = :expires_at
  FROM head
  WHERE job.seq = head.seq AND EXISTS (SELECT 1 FROM room)
    AND (NOT head.user_limited OR EXISTS (SELECT 1 FROM user_room))
  RETURNING job.*
), logged AS (
  INSERT INTO job_log (job_id, at, level, message)
  SELECT id, :now, 'INFO', format(:message, attempt) FROM claimed
)
SELECT * FROM claimed
