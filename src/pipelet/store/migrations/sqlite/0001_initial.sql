-- The schema of the embedded database. Times are seconds since the epoch.
--
-- `job` is the queue and its history: a row is queued, running or final, and the CHECKs hold the state machine of
-- `domain/jobs/job.py` together with the columns that each state needs.
--
-- `queue_count` makes the position in the queue cheap at any depth. It counts queued rows and adds up their predicted
-- work: for a whole priority (level 0), and for blocks of 4,096, 256 and 16 arrivals within it. The level of a block is the
-- number of bits of `seq` that its number drops (12, 8 and 4). What is ahead of a row is then: all higher priorities, the
-- long blocks before its own, at most 15 blocks of 256, at most 15 blocks of 16, and at most 15 rows. A row costs several
-- times as much as a block, because it is looked up in the table: with 16 by 16 by 16 a poll reads 22 entries on average and
-- 45 at most, with a million rows queued. Triggers keep the counters, so no statement can forget to. SQLite has one writer
-- at a time, so the counters are no bottleneck.

CREATE TABLE job (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  app TEXT NOT NULL,
  owner TEXT NOT NULL,
  priority INTEGER NOT NULL CHECK (priority BETWEEN -2147483648 AND 2147483647),
  -- The priority that the user requested, if an operator has moved the job to the front since.
  requested_priority INTEGER,
  spec TEXT NOT NULL,
  steps REAL NOT NULL,
  megapixels REAL NOT NULL,
  megapixel_steps REAL NOT NULL,
  attention REAL NOT NULL,
  image_count INTEGER NOT NULL,
  key_id TEXT,
  -- The key has limits and counts this job. The flag is in the row itself, so that jobs of all other keys cost neither
  -- their triggers nor their claims a lookup in `api_key`.
  quota_limited INTEGER NOT NULL CHECK (quota_limited IN (0, 1)),
  state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
  attempt INTEGER NOT NULL CHECK (attempt >= 0),
  submitted_at REAL NOT NULL,
  estimated_seconds REAL NOT NULL,
  -- No attempt starts later than this. A cancel of a running job sets it, too: if the attempt is cut short, no other starts.
  start_deadline REAL,
  no_retry INTEGER NOT NULL CHECK (no_retry IN (0, 1)),
  store_input INTEGER NOT NULL CHECK (store_input IN (0, 1)),
  -- Counted from the job's end; the operator's retention time is the upper limit.
  retention_seconds REAL,
  -- JSON: `url`, `endpoint` and `base_url` of `domain/webhooks/delivery.py`.
  webhook TEXT,
  started_at REAL,
  cancel_requested_at REAL,
  finished_at REAL,
  worker TEXT,
  lease_token TEXT,
  lease_expires_at REAL,
  tasks_done INTEGER,
  tasks_total INTEGER,
  images TEXT,
  -- The images of a job that was cancelled while it ran; `images` belongs to jobs that succeeded.
  finished_images TEXT,
  inference_seconds REAL,
  failure_kind TEXT,
  failure_message TEXT,
  CHECK ((state = 'running') = (lease_token IS NOT NULL)),
  CHECK ((lease_token IS NULL) = (lease_expires_at IS NULL)),
  CHECK ((state IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)),
  CHECK ((state = 'succeeded') = (images IS NOT NULL)),
  CHECK ((state IN ('failed', 'cancelled')) = (failure_kind IS NOT NULL)),
  CHECK (tasks_done BETWEEN 0 AND tasks_total)
) STRICT;

CREATE INDEX job_queue ON job (app, priority DESC, seq) WHERE state = 'queued';
CREATE INDEX job_leases ON job (lease_expires_at) WHERE state = 'running';
CREATE INDEX job_ends ON job (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX job_start_deadlines ON job (start_deadline) WHERE state = 'queued' AND start_deadline IS NOT NULL;
CREATE INDEX job_early_ends ON job (finished_at + retention_seconds)
WHERE finished_at IS NOT NULL AND retention_seconds IS NOT NULL;

CREATE TRIGGER job_keep_final_state BEFORE UPDATE OF state ON job
WHEN OLD.state IN ('succeeded', 'failed', 'cancelled') BEGIN
  SELECT RAISE(ABORT, 'a final state never changes');
END;

CREATE TABLE queue_count (
  app TEXT NOT NULL,
  level INTEGER NOT NULL,
  priority INTEGER NOT NULL,
  block INTEGER NOT NULL,
  requests INTEGER NOT NULL,
  steps REAL NOT NULL,
  megapixels REAL NOT NULL,
  megapixel_steps REAL NOT NULL,
  attention REAL NOT NULL,
  PRIMARY KEY (app, level, priority, block)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER queue_count_add AFTER INSERT ON job WHEN NEW.state = 'queued' BEGIN
  INSERT INTO queue_count VALUES
    (NEW.app, 0, NEW.priority, 0, 1, NEW.steps, NEW.megapixels, NEW.megapixel_steps, NEW.attention),
    (NEW.app, 12, NEW.priority, NEW.seq >> 12, 1, NEW.steps, NEW.megapixels, NEW.megapixel_steps, NEW.attention),
    (NEW.app, 8, NEW.priority, NEW.seq >> 8, 1, NEW.steps, NEW.megapixels, NEW.megapixel_steps, NEW.attention),
    (NEW.app, 4, NEW.priority, NEW.seq >> 4, 1, NEW.steps, NEW.megapixels, NEW.megapixel_steps, NEW.attention)
  ON CONFLICT DO UPDATE SET
    requests = requests + 1,
    steps = steps + excluded.steps,
    megapixels = megapixels + excluded.megapixels,
    megapixel_steps = megapixel_steps + excluded.megapixel_steps,
    attention = attention + excluded.attention;
END;

-- A requeued job returns to its blocks. A queued job that moves arrives in other blocks, and `queue_count_remove` takes it
-- out of those that it was in.
CREATE TRIGGER queue_count_return AFTER UPDATE OF state, priority, seq ON job WHEN NEW.state = 'queued' BEGIN
  INSERT INTO queue_count VALUES
    (NEW.app, 0, NEW.priority, 0, 1, NEW.steps, NEW.megapixels, NEW.megapixel_steps, NEW.attention),
    (NEW.app, 12, NEW.priority, NEW.seq >> 12, 1, NEW.steps, NEW.megapixels, NEW.megapixel_steps, NEW.attention),
    (NEW.app, 8, NEW.priority, NEW.seq >> 8, 1, NEW.steps, NEW.megapixels, NEW.megapixel_steps, NEW.attention),
    (NEW.app, 4, NEW.priority, NEW.seq >> 4, 1, NEW.steps, NEW.megapixels, NEW.megapixel_steps, NEW.attention)
  ON CONFLICT DO UPDATE SET
    requests = requests + 1,
    steps = steps + excluded.steps,
    megapixels = megapixels + excluded.megapixels,
    megapixel_steps = megapixel_steps + excluded.megapixel_steps,
    attention = attention + excluded.attention;
END;

CREATE TRIGGER queue_count_remove AFTER UPDATE OF state, priority, seq ON job WHEN OLD.state = 'queued' BEGIN
  -- An upsert, though the rows exist: for an UPDATE of (level, block) pairs SQLite would read every block of the app.
  INSERT INTO queue_count VALUES
    (OLD.app, 0, OLD.priority, 0, 1, OLD.steps, OLD.megapixels, OLD.megapixel_steps, OLD.attention),
    (OLD.app, 12, OLD.priority, OLD.seq >> 12, 1, OLD.steps, OLD.megapixels, OLD.megapixel_steps, OLD.attention),
    (OLD.app, 8, OLD.priority, OLD.seq >> 8, 1, OLD.steps, OLD.megapixels, OLD.megapixel_steps, OLD.attention),
    (OLD.app, 4, OLD.priority, OLD.seq >> 4, 1, OLD.steps, OLD.megapixels, OLD.megapixel_steps, OLD.attention)
  ON CONFLICT DO UPDATE SET
    requests = requests - 1,
    steps = steps - excluded.steps,
    megapixels = megapixels - excluded.megapixels,
    megapixel_steps = megapixel_steps - excluded.megapixel_steps,
    attention = attention - excluded.attention;
  -- Deleting empty blocks also drops the rounding errors of their sums.
  DELETE FROM queue_count
  WHERE app = OLD.app AND level IN (0, 12, 8, 4) AND priority = OLD.priority
    AND block IN (0, OLD.seq >> 12, OLD.seq >> 8, OLD.seq >> 4) AND requests = 0;
END;

CREATE TABLE paused_app (
  app TEXT PRIMARY KEY,
  since REAL NOT NULL
) STRICT, WITHOUT ROWID;

-- The job's history as its user sees it, except for the first entry, which is made from the job's row.
CREATE TABLE job_log (
  job_id TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
  at REAL NOT NULL,
  level TEXT NOT NULL,
  message TEXT NOT NULL
) STRICT;

CREATE INDEX job_log_of_job ON job_log (job_id);

-- Every stored file, noted before it is written, so that no file is ever orphaned unseen. `delete_after` is set once the
-- file belongs to no result or job any more. `lease_token` is empty for an input file.
CREATE TABLE file (
  key TEXT PRIMARY KEY,
  job_id TEXT NOT NULL,
  lease_token TEXT NOT NULL,
  delete_after REAL
) STRICT, WITHOUT ROWID;

CREATE INDEX file_of_attempt ON file (job_id, lease_token);
CREATE INDEX file_to_delete ON file (delete_after) WHERE delete_after IS NOT NULL;

-- Which jobs start from which input files: a retried job starts from those of the first. A file with a row here stays. Its
-- own `job_id` is empty then, so that no job takes it along when it is deleted.
CREATE TABLE job_input_file (
  job_id TEXT NOT NULL,
  key TEXT NOT NULL,
  PRIMARY KEY (job_id, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX job_input_file_of_file ON job_input_file (key);

CREATE TRIGGER job_input_file_keep AFTER INSERT ON job_input_file BEGIN
  UPDATE file SET job_id = '', delete_after = NULL WHERE key = NEW.key;
END;

CREATE TRIGGER job_input_file_release AFTER DELETE ON job_input_file BEGIN
  UPDATE file SET delete_after = 0
  WHERE key = OLD.key AND NOT EXISTS (SELECT 1 FROM job_input_file WHERE job_input_file.key = OLD.key);
END;

CREATE TRIGGER job_release_input_files AFTER DELETE ON job BEGIN
  DELETE FROM job_input_file WHERE job_id = OLD.id;
END;

CREATE TRIGGER job_blank_input AFTER UPDATE OF state ON job WHEN NEW.finished_at IS NOT NULL AND NOT NEW.store_input BEGIN
  UPDATE job SET spec = json_remove(json_set(NEW.spec, '$.prompt', '', '$.negative_prompt', NULL), '$.input_images')
  WHERE seq = NEW.seq;
  DELETE FROM job_input_file WHERE job_id = NEW.id;
END;

CREATE TABLE idempotency_key (
  owner TEXT NOT NULL,
  key TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  job_id TEXT NOT NULL,
  expires_at REAL NOT NULL,
  PRIMARY KEY (owner, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_key_ends ON idempotency_key (expires_at);

-- Triggers keep the last two columns, for jobs with `quota_limited` only.
CREATE TABLE api_key (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  owner TEXT NOT NULL,
  hash BLOB NOT NULL UNIQUE,
  created_at REAL NOT NULL,
  expires_at REAL,
  revoked_at REAL,
  max_priority INTEGER,
  max_queued_images INTEGER,
  max_running_images INTEGER,
  queued_images INTEGER NOT NULL DEFAULT 0,
  running_images INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TRIGGER api_key_count_add AFTER INSERT ON job WHEN NEW.quota_limited BEGIN
  UPDATE api_key SET queued_images = queued_images + NEW.image_count WHERE id = NEW.key_id;
END;

CREATE TRIGGER api_key_count_move AFTER UPDATE OF state ON job WHEN NEW.quota_limited BEGIN
  UPDATE api_key SET
    queued_images = queued_images + NEW.image_count * ((NEW.state = 'queued') - (OLD.state = 'queued')),
    running_images = running_images + NEW.image_count * ((NEW.state = 'running') - (OLD.state = 'running'))
  WHERE id = NEW.key_id;
END;

-- A name belongs to one process at a time; `incarnation` tells which.
CREATE TABLE worker (
  name TEXT PRIMARY KEY,
  incarnation TEXT NOT NULL,
  model TEXT NOT NULL,
  profile TEXT NOT NULL,
  apps TEXT NOT NULL,
  version TEXT NOT NULL,
  ready INTEGER NOT NULL CHECK (ready IN (0, 1)),
  problem TEXT,
  draining INTEGER NOT NULL DEFAULT 0 CHECK (draining IN (0, 1)),
  seen_at REAL NOT NULL,
  expires_at REAL NOT NULL
) STRICT, WITHOUT ROWID;

-- The running sums of the fits in `domain/capacity/cost_model.py`.
CREATE TABLE cost_model (
  profile TEXT NOT NULL,
  phase TEXT NOT NULL CHECK (phase IN ('generate', 'store')),
  count INTEGER NOT NULL,
  sums TEXT NOT NULL,
  PRIMARY KEY (profile, phase)
) STRICT, WITHOUT ROWID;

-- The outbox. A delivery is due while `due_at` is set. With a `lease_token` an attempt is under way, and `due_at` is when
-- that attempt counts as lost.
CREATE TABLE webhook_delivery (
  job_id TEXT PRIMARY KEY REFERENCES job (id) ON DELETE CASCADE,
  owner TEXT NOT NULL,
  endpoint TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'failed')),
  since REAL NOT NULL,
  due_at REAL,
  attempts INTEGER NOT NULL DEFAULT 0,
  lease_token TEXT,
  CHECK ((state = 'waiting') = (due_at IS NOT NULL)),
  CHECK (lease_token IS NULL OR due_at IS NOT NULL)
) STRICT, WITHOUT ROWID;

-- The first index finds the delivery that has been due longest; the second steps from endpoint to endpoint if many are busy.
CREATE INDEX webhook_delivery_due ON webhook_delivery (due_at, owner, endpoint) WHERE due_at IS NOT NULL;

CREATE INDEX webhook_delivery_lines ON webhook_delivery (owner, endpoint, due_at) WHERE due_at IS NOT NULL;

CREATE TRIGGER job_enqueue_webhook AFTER UPDATE OF state ON job
WHEN NEW.webhook IS NOT NULL AND OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL BEGIN
  INSERT INTO webhook_delivery (job_id, owner, endpoint, since, due_at)
  VALUES (NEW.id, NEW.owner, json_extract(NEW.webhook, '$.endpoint'), NEW.finished_at, NEW.finished_at);
END;

CREATE TABLE webhook_attempt (
  job_id TEXT NOT NULL REFERENCES webhook_delivery (job_id) ON DELETE CASCADE,
  at REAL NOT NULL,
  seconds REAL NOT NULL,
  code INTEGER,
  error TEXT
) STRICT;

CREATE INDEX webhook_attempt_of_job ON webhook_attempt (job_id);

-- The keys that sign webhooks. All processes that share the database sign with the same key.
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
