-- Webhooks: who is to be told that a request has ended, and who was.
--
-- Processes of the version before may go on while this happens: the row that is due is written by a trigger, so that what
-- they end is told, too, whichever of them ends it.

-- JSON: `url`, `receiver` and `base_url` of `domain/webhooks.py`.
ALTER TABLE job ADD COLUMN webhook TEXT;

-- Due while `due_at` is set. With a `lease_token` somebody is at it, and `due_at` is when that one is taken for lost.
CREATE TABLE webhook (
  job_id TEXT PRIMARY KEY REFERENCES job (id) ON DELETE CASCADE,
  owner TEXT NOT NULL,
  receiver TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'given_up')),
  since REAL NOT NULL,
  due_at REAL,
  tries INTEGER NOT NULL DEFAULT 0,
  lease_token TEXT,
  CHECK ((state = 'waiting') = (due_at IS NOT NULL)),
  CHECK (lease_token IS NULL OR due_at IS NOT NULL)
) STRICT, WITHOUT ROWID;

-- The first finds what is due for the longest time; the second steps from receiver to receiver where many are busy.
CREATE INDEX webhook_due ON webhook (due_at, owner, receiver) WHERE due_at IS NOT NULL;

CREATE INDEX webhook_lines ON webhook (owner, receiver, due_at) WHERE due_at IS NOT NULL;

CREATE TRIGGER job_tells_webhook AFTER UPDATE OF state ON job
WHEN NEW.webhook IS NOT NULL AND OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL BEGIN
  INSERT INTO webhook (job_id, owner, receiver, since, due_at)
  VALUES (NEW.id, NEW.owner, json_extract(NEW.webhook, '$.receiver'), NEW.finished_at, NEW.finished_at);
END;

CREATE TABLE webhook_try (
  job_id TEXT NOT NULL REFERENCES webhook (job_id) ON DELETE CASCADE,
  at REAL NOT NULL,
  seconds REAL NOT NULL,
  code INTEGER,
  error TEXT
) STRICT;

CREATE INDEX webhook_try_of_job ON webhook_try (job_id);

-- The keys that webhooks are signed with. All who share the database sign with the same.
CREATE TABLE webhook_key (
  id TEXT PRIMARY KEY,
  role TEXT NOT NULL CHECK (role IN ('next', 'signing', 'retired')),
  private BLOB NOT NULL,
  public BLOB NOT NULL,
  created_at REAL NOT NULL,
  retired_at REAL,
  CHECK ((role = 'retired') = (retired_at IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX webhook_key_roles ON webhook_key (role) WHERE role <> 'retired';
