-- Differs from SQLite's because one statement is one transaction, and one trip to the server: files and log go with it.
WITH ended AS (
  UPDATE job
  SET state = 'cancelled', finished_at = :now, failure_kind = :failure_kind, failure_message = :failure_message,
      finished_images = :finished_images, lease_token = NULL, lease_expires_at = NULL
  WHERE id = :id AND lease_token = :token
  RETURNING id
), released AS (
  -- Files that are part of no result. Not deleted at once: an attempt that lost its lease may still be writing.
  UPDATE file SET delete_after = :delete_after
  FROM ended
  WHERE file.job_id = ended.id AND file.lease_token = :token AND file.key <> ALL(:kept::text[])
), noted AS (
  INSERT INTO job_log (job_id, at, level, message) SELECT id, :now, :level, :message FROM ended
)
SELECT id FROM ended
