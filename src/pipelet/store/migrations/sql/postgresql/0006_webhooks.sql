-- Webhooks; `sql/sqlite/0006_webhooks.sql` tells what the tables are for.

ALTER TABLE job ADD COLUMN webhook text;

CREATE TABLE webhook (
  job_id text PRIMARY KEY REFERENCES job (id) ON DELETE CASCADE,
  owner text NOT NULL,
  receiver text NOT NULL,
  state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'given_up')),
  since double precision NOT NULL,
  due_at double precision,
  tries integer NOT NULL DEFAULT 0,
  lease_token text,
  CHECK ((state = 'waiting') = (due_at IS NOT NULL)),
  CHECK (lease_token IS NULL OR due_at IS NOT NULL)
) WITH (
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0
);

CREATE INDEX webhook_due ON webhook (due_at, owner, receiver) WHERE due_at IS NOT NULL;

CREATE INDEX webhook_lines ON webhook (owner, receiver, due_at) WHERE due_at IS NOT NULL;

CREATE FUNCTION job_tells_webhook() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO webhook (job_id, owner, receiver, since, due_at)
  VALUES (NEW.id, NEW.owner, NEW.webhook::json ->> 'receiver', NEW.finished_at, NEW.finished_at);
  RETURN NULL;
END $$;

CREATE TRIGGER job_tells_webhook AFTER UPDATE OF state ON job
FOR EACH ROW WHEN (NEW.webhook IS NOT NULL AND OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL)
EXECUTE FUNCTION job_tells_webhook();

CREATE TABLE webhook_try (
  job_id text NOT NULL REFERENCES webhook (job_id) ON DELETE CASCADE,
  at double precision NOT NULL,
  seconds double precision NOT NULL,
  code integer,
  error text
);

CREATE INDEX webhook_try_of_job ON webhook_try (job_id);

CREATE TABLE webhook_key (
  id text PRIMARY KEY,
  role text NOT NULL CHECK (role IN ('next', 'signing', 'retired')),
  private bytea NOT NULL,
  public bytea NOT NULL,
  created_at double precision NOT NULL,
  retired_at double precision,
  CHECK ((role = 'retired') = (retired_at IS NOT NULL))
);

CREATE UNIQUE INDEX webhook_key_roles ON webhook_key (role) WHERE role <> 'retired';
