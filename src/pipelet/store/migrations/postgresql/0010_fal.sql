-- `sqlite/0010_fal.sql` explains the column and the table.
ALTER TABLE job ADD COLUMN inline_images boolean NOT NULL DEFAULT false;

-- Without a reference to `job`: checking it would lock the row, and claims skip rows that are locked.
CREATE TABLE webhook_event (
  job_id text NOT NULL,
  event text NOT NULL CHECK (event IN ('started', 'progress')),
  owner text NOT NULL,
  endpoint text NOT NULL,
  changed boolean NOT NULL,
  due_at double precision NOT NULL,
  attempts integer NOT NULL DEFAULT 0,
  lease_token text,
  PRIMARY KEY (job_id, event)
) WITH (fillfactor = 50);

CREATE INDEX webhook_event_due ON webhook_event (due_at) WHERE changed;

CREATE FUNCTION job_add_webhook_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO webhook_event (job_id, event, owner, endpoint, changed, due_at)
  SELECT NEW.id, value, NEW.owner, NEW.webhook::jsonb ->> 'endpoint', value = 'started', NEW.started_at
  FROM jsonb_array_elements_text(COALESCE(NEW.webhook::jsonb -> 'events', '[]'))
  WHERE value IN ('started', 'progress');
  RETURN NULL;
END $$;

CREATE TRIGGER job_add_webhook_events AFTER UPDATE OF state ON job
FOR EACH ROW WHEN (NEW.webhook IS NOT NULL AND OLD.state <> 'running' AND NEW.state = 'running')
EXECUTE FUNCTION job_add_webhook_events();

CREATE FUNCTION job_note_webhook_progress() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE webhook_event SET changed = true WHERE job_id = NEW.id AND event = 'progress';
  RETURN NULL;
END $$;

CREATE TRIGGER job_note_webhook_progress AFTER UPDATE OF tasks_done ON job
FOR EACH ROW WHEN (NEW.webhook IS NOT NULL AND NEW.state = 'running') EXECUTE FUNCTION job_note_webhook_progress();

CREATE FUNCTION job_delete_webhook_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM webhook_event WHERE job_id = NEW.id;
  RETURN NULL;
END $$;

CREATE TRIGGER job_delete_webhook_events AFTER UPDATE OF state ON job
FOR EACH ROW WHEN (NEW.webhook IS NOT NULL AND NEW.state <> 'running') EXECUTE FUNCTION job_delete_webhook_events();
