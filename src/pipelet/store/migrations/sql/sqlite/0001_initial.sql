-- How the queue lies on disk.
--
-- `job` is the queue and its history; a row is queued, running or final, and the CHECKs hold the state machine of
-- `domain/job.py` together with the columns each state needs. Times are seconds since the epoch.
--
-- `queue_count` makes the place in the queue cheap at any depth. It counts queued rows, and adds up their predicted work,
-- at three grains: a whole priority level (span 0), and runs of 4,096 and 64 arrivals within it (spans 12 and 6, the
-- number of bits of `seq` that are dropped). What is ahead of a row is then the levels above, the long runs before its own,
-- at most 63 short runs before its own, and at most 63 rows, which cost several times a run each, because they are looked up
-- in the table: some hundreds of index entries with a million queued. Triggers keep
-- it, so no statement can forget to; SQLite has one writer at a time, so the counters are no bottleneck.

CREATE TABLE job (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  app TEXT NOT NULL,
  owner TEXT NOT NULL,
  priority INTEGER NOT NULL CHECK (priority BETWEEN -2147483648 AND 2147483647),
  spec TEXT NOT NULL,
  steps REAL NOT NULL,
  megapixels REAL NOT NULL,
  megapixel_steps REAL NOT NULL,
  attention REAL NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
  attempt INTEGER NOT NULL CHECK (attempt >= 0),
  submitted_at REAL NOT NULL,
  expected_seconds REAL NOT NULL,
  started_at REAL,
  finished_at REAL,
  worker TEXT,
  lease_token TEXT,
  lease_expires_at REAL,
  tasks_done INTEGER,
  tasks_total INTEGER,
  images TEXT,
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

CREATE TRIGGER job_final_states_stay BEFORE UPDATE OF state ON job
WHEN OLD.state IN ('succeeded', 'failed', 'cancelled') BEGIN
  SELECT RAISE(ABORT, 'a final state never changes');
END;

CREATE TABLE queue_count (
  app TEXT NOT NULL,
  span INTEGER NOT NULL,
  priority INTEGER NOT NULL,
  run INTEGER NOT NULL,
  requests INTEGER NOT NULL,
  steps REAL NOT NULL,
  megapixels REAL NOT NULL,
  megapixel_steps REAL NOT NULL,
  attention REAL NOT NULL,
  PRIMARY KEY (app, span, priority, run)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER job_arrives AFTER INSERT ON job WHEN NEW.state = 'queued' BEGIN
  INSERT INTO queue_count VALUES
    (NEW.app, 0, NEW.priority, 0, 1, NEW.steps, NEW.megapixels, NEW.megapixel_steps, NEW.attention),
    (NEW.app, 12, NEW.priority, NEW.seq >> 12, 1, NEW.steps, NEW.megapixels, NEW.megapixel_steps, NEW.attention),
    (NEW.app, 6, NEW.priority, NEW.seq >> 6, 1, NEW.steps, NEW.megapixels, NEW.megapixel_steps, NEW.attention)
  ON CONFLICT DO UPDATE SET
    requests = requests + 1,
    steps = steps + excluded.steps,
    megapixels = megapixels + excluded.megapixels,
    megapixel_steps = megapixel_steps + excluded.megapixel_steps,
    attention = attention + excluded.attention;
END;

CREATE TRIGGER job_returns AFTER UPDATE OF state ON job WHEN NEW.state = 'queued' AND OLD.state <> 'queued' BEGIN
  INSERT INTO queue_count VALUES
    (NEW.app, 0, NEW.priority, 0, 1, NEW.steps, NEW.megapixels, NEW.megapixel_steps, NEW.attention),
    (NEW.app, 12, NEW.priority, NEW.seq >> 12, 1, NEW.steps, NEW.megapixels, NEW.megapixel_steps, NEW.attention),
    (NEW.app, 6, NEW.priority, NEW.seq >> 6, 1, NEW.steps, NEW.megapixels, NEW.megapixel_steps, NEW.attention)
  ON CONFLICT DO UPDATE SET
    requests = requests + 1,
    steps = steps + excluded.steps,
    megapixels = megapixels + excluded.megapixels,
    megapixel_steps = megapixel_steps + excluded.megapixel_steps,
    attention = attention + excluded.attention;
END;

CREATE TRIGGER job_leaves AFTER UPDATE OF state ON job WHEN OLD.state = 'queued' AND NEW.state <> 'queued' BEGIN
  -- As an upsert, though the rows are there: SQLite would look for three (span, run) pairs by reading every run of the app.
  INSERT INTO queue_count VALUES
    (OLD.app, 0, OLD.priority, 0, 1, OLD.steps, OLD.megapixels, OLD.megapixel_steps, OLD.attention),
    (OLD.app, 12, OLD.priority, OLD.seq >> 12, 1, OLD.steps, OLD.megapixels, OLD.megapixel_steps, OLD.attention),
    (OLD.app, 6, OLD.priority, OLD.seq >> 6, 1, OLD.steps, OLD.megapixels, OLD.megapixel_steps, OLD.attention)
  ON CONFLICT DO UPDATE SET
    requests = requests - 1,
    steps = steps - excluded.steps,
    megapixels = megapixels - excluded.megapixels,
    megapixel_steps = megapixel_steps - excluded.megapixel_steps,
    attention = attention - excluded.attention;
  -- Empty runs go, and the rounding errors of their sums with them.
  DELETE FROM queue_count
  WHERE app = OLD.app AND span IN (0, 12, 6) AND priority = OLD.priority
    AND run IN (0, OLD.seq >> 12, OLD.seq >> 6) AND requests = 0;
END;

-- What the user is told of a request's history, beside what its own row says.
CREATE TABLE job_log (
  job_id TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
  at REAL NOT NULL,
  level TEXT NOT NULL,
  message TEXT NOT NULL
) STRICT;

CREATE INDEX job_log_of_job ON job_log (job_id);

-- Every file an attempt may have written, noted before it is written, so that none is ever left behind unknown.
-- `delete_after` is set once the file belongs to no result any more.
CREATE TABLE file (
  key TEXT PRIMARY KEY,
  job_id TEXT NOT NULL,
  lease_token TEXT NOT NULL,
  delete_after REAL
) STRICT, WITHOUT ROWID;

CREATE INDEX file_of_attempt ON file (job_id, lease_token);
CREATE INDEX file_to_delete ON file (delete_after) WHERE delete_after IS NOT NULL;

CREATE TABLE api_key (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  owner TEXT NOT NULL,
  hash BLOB NOT NULL UNIQUE,
  created_at REAL NOT NULL,
  expires_at REAL,
  revoked_at REAL,
  max_priority INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE worker (
  name TEXT PRIMARY KEY,
  model TEXT NOT NULL,
  kind TEXT NOT NULL,
  apps TEXT NOT NULL,
  version TEXT NOT NULL,
  ready INTEGER NOT NULL CHECK (ready IN (0, 1)),
  problem TEXT,
  seen_at REAL NOT NULL,
  expires_at REAL NOT NULL
) STRICT, WITHOUT ROWID;

-- Running sums of the fits in `domain/estimate.py`.
CREATE TABLE learned (
  kind TEXT NOT NULL,
  phase TEXT NOT NULL CHECK (phase IN ('draw', 'record')),
  count INTEGER NOT NULL,
  sums TEXT NOT NULL,
  PRIMARY KEY (kind, phase)
) STRICT, WITHOUT ROWID;
