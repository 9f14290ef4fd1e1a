-- Whether the result, where an API offers that, holds the images themselves (`sync_mode` of fal's ids).
ALTER TABLE job ADD COLUMN inline_images INTEGER NOT NULL DEFAULT 0 CHECK (inline_images IN (0, 1));

-- Webhooks that tell of a running request, for those whose `webhook` names `events`. The rows of a request are there while it
-- runs: what comes late is of no use.
CREATE TABLE webhook_event (
  job_id TEXT NOT NULL,
  event TEXT NOT NULL CHECK (event IN ('started', 'progress')),
  owner TEXT NOT NULL,
  endpoint TEXT NOT NULL,
  -- 1 if there is something to tell since the last attempt began.
  changed INTEGER NOT NULL CHECK (changed IN (0, 1)),
  -- When the next attempt may begin.
  due_at REAL NOT NULL,
  -- Attempts since the last one that succeeded.
  attempts INTEGER NOT NULL DEFAULT 0,
  lease_token TEXT,
  PRIMARY KEY (job_id, event)
) STRICT, WITHOUT ROWID;

CREATE INDEX webhook_event_due ON webhook_event (due_at) WHERE changed;

CREATE TRIGGER job_add_webhook_events AFTER UPDATE OF state ON job
WHEN NEW.webhook IS NOT NULL AND OLD.state <> 'running' AND NEW.state = 'running' BEGIN
  INSERT INTO webhook_event (job_id, event, owner, endpoint, changed, due_at)
  SELECT NEW.id, value, NEW.owner, json_extract(NEW.webhook, '$.endpoint'), value = 'started', NEW.started_at
  FROM json_each(NEW.webhook, '$.events') WHERE value IN ('started', 'progress');
END;

CREATE TRIGGER job_note_webhook_progress AFTER UPDATE OF tasks_done ON job
WHEN NEW.webhook IS NOT NULL AND NEW.state = 'running' BEGIN
  UPDATE webhook_event SET changed = 1 WHERE job_id = NEW.id AND event = 'progress';
END;

CREATE TRIGGER job_delete_webhook_events AFTER UPDATE OF state ON job
WHEN NEW.webhook IS NOT NULL AND NEW.state <> 'running' BEGIN
  DELETE FROM webhook_event WHERE job_id = NEW.id;
END;
