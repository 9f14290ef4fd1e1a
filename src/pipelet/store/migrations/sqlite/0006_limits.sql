-- Limits of users, and what is used of them. `docs/decisions/0027` has the reasons.

-- One row for each user with limits; NULL is no limit. A submit reads and writes it in its own transaction, and triggers take
-- off `queued_images` what starts or ends. Users without a row have no limits.
CREATE TABLE user_limit (
  owner TEXT PRIMARY KEY,
  max_priority INTEGER,
  max_queued_images INTEGER,
  max_running_images INTEGER,
  max_submits_per_second REAL,
  submit_burst INTEGER NOT NULL,
  max_stored_bytes INTEGER,
  max_webhooks_per_minute INTEGER,
  queued_images INTEGER NOT NULL DEFAULT 0,
  running_images INTEGER NOT NULL DEFAULT 0,
  -- The bucket of submits held this number of tokens at `filled_at`; NULL: it is full.
  submit_tokens REAL,
  filled_at REAL NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- The limits of the job's user apply to it, so that it is counted in `user_limit`. As `quota_limited`, a flag in the row
-- itself: all other jobs cost no lookup. Running images are counted for jobs with `quota_limited` alone: these are the jobs
-- for which a claim looks whether they may run.
ALTER TABLE job ADD COLUMN user_limited INTEGER NOT NULL DEFAULT 0 CHECK (user_limited IN (0, 1));

CREATE TRIGGER user_limit_count_move AFTER UPDATE OF state ON job WHEN NEW.user_limited BEGIN
  UPDATE user_limit SET
    queued_images = queued_images + NEW.image_count * ((NEW.state = 'queued') - (OLD.state = 'queued')),
    running_images = running_images
      + NEW.image_count * NEW.quota_limited * ((NEW.state = 'running') - (OLD.state = 'running'))
  WHERE owner = NEW.owner;
END;

CREATE TRIGGER user_limit_count_delete AFTER DELETE ON job WHEN OLD.user_limited AND OLD.state = 'queued' BEGIN
  UPDATE user_limit SET queued_images = queued_images - OLD.image_count WHERE owner = OLD.owner;
END;

-- Bytes of the files that belong to a user's requests: results, and input images. A file counts from when it belongs to a
-- request until it is due for deletion, which is when the request is deleted.
CREATE TABLE stored_bytes (
  owner TEXT PRIMARY KEY,
  bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Empty and 0 until they are known: the size of a result, at the end of its job.
ALTER TABLE file ADD COLUMN owner TEXT NOT NULL DEFAULT '';
ALTER TABLE file ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;

UPDATE file SET owner = image.owner, bytes = image.bytes
FROM (
  SELECT job.owner, stored.value ->> 'key' AS key, stored.value ->> 'file_size' AS bytes
  FROM job, json_each(COALESCE(job.images, job.finished_images)) AS stored
) AS image
WHERE file.key = image.key;

INSERT INTO stored_bytes SELECT owner, SUM(bytes) FROM file WHERE delete_after IS NULL AND bytes > 0 GROUP BY owner;

CREATE TRIGGER job_note_sizes AFTER UPDATE OF state ON job
WHEN OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL AND COALESCE(NEW.images, NEW.finished_images) IS NOT NULL BEGIN
  UPDATE file SET owner = NEW.owner, bytes = stored.value ->> 'file_size'
  FROM json_each(COALESCE(NEW.images, NEW.finished_images)) AS stored
  WHERE file.key = stored.value ->> 'key';
END;

CREATE TRIGGER file_count_change AFTER UPDATE OF bytes, delete_after ON file
WHEN NEW.bytes * (NEW.delete_after IS NULL) <> OLD.bytes * (OLD.delete_after IS NULL) BEGIN
  INSERT INTO stored_bytes
  VALUES (NEW.owner, NEW.bytes * (NEW.delete_after IS NULL) - OLD.bytes * (OLD.delete_after IS NULL))
  ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER file_count_delete AFTER DELETE ON file WHEN OLD.bytes > 0 AND OLD.delete_after IS NULL BEGIN
  UPDATE stored_bytes SET bytes = bytes - OLD.bytes WHERE owner = OLD.owner;
END;

-- When the next webhook of a user may be sent, if more are due than `max_webhooks_per_minute`. Up to ten seconds' worth may
-- be sent at once.
CREATE TABLE webhook_pace (
  owner TEXT PRIMARY KEY,
  next_at REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER webhook_delivery_pace AFTER INSERT ON webhook_delivery
WHEN EXISTS (SELECT 1 FROM user_limit WHERE owner = NEW.owner AND max_webhooks_per_minute IS NOT NULL) BEGIN
  INSERT INTO webhook_pace
  SELECT owner, NEW.due_at + 60.0 / max_webhooks_per_minute FROM user_limit WHERE owner = NEW.owner
  ON CONFLICT DO UPDATE SET next_at = MAX(next_at - NEW.due_at, 0.0) + excluded.next_at;
  UPDATE webhook_delivery SET due_at = MAX(NEW.due_at, (
    SELECT next_at - MAX(10.0, 60.0 / max_webhooks_per_minute)
    FROM webhook_pace JOIN user_limit USING (owner)
    WHERE owner = NEW.owner
  ))
  WHERE job_id = NEW.job_id;
END;

-- Requests that a limit refused.
CREATE TABLE refusal (
  day TEXT NOT NULL,
  owner TEXT NOT NULL,
  reason TEXT NOT NULL,
  requests INTEGER NOT NULL,
  PRIMARY KEY (day, owner, reason)
) STRICT, WITHOUT ROWID;
