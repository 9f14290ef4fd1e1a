-- How the queue lies in the database; `sql/sqlite/0001_initial.sql` tells what the tables are for.
--
-- `queue_count` counts by runs of 4,096, 256 and 16 arrivals (spans 12, 8 and 4). All who submit, claim or cancel in one
-- priority level update the same row of it, one after the other. That is cheap only as long as nobody waits for the disk
-- while holding that row: see `store/wal_flush.py`.
--
-- Rows that are updated often keep room in their page for the next version (fillfactor), and dead versions are cleared
-- away by their number, not by their share of a table that may hold a million: an index whose head is full of dead entries
-- makes every claim walk over them.

CREATE TABLE job (
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id text NOT NULL UNIQUE,
  app text NOT NULL,
  owner text NOT NULL,
  priority integer NOT NULL,
  spec text NOT NULL,
  steps double precision NOT NULL,
  megapixels double precision NOT NULL,
  megapixel_steps double precision NOT NULL,
  attention double precision NOT NULL,
  state text NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
  attempt integer NOT NULL CHECK (attempt >= 0),
  submitted_at double precision NOT NULL,
  expected_seconds double precision NOT NULL,
  started_at double precision,
  finished_at double precision,
  worker text,
  lease_token text,
  lease_expires_at double precision,
  tasks_done integer,
  tasks_total integer,
  images text,
  inference_seconds double precision,
  failure_kind text,
  failure_message text,
  CHECK ((state = 'running') = (lease_token IS NOT NULL)),
  CHECK ((lease_token IS NULL) = (lease_expires_at IS NULL)),
  CHECK ((state IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)),
  CHECK ((state = 'succeeded') = (images IS NOT NULL)),
  CHECK ((state IN ('failed', 'cancelled')) = (failure_kind IS NOT NULL)),
  CHECK (tasks_done BETWEEN 0 AND tasks_total)
) WITH (
  fillfactor = 80,
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
  autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 20000,
  autovacuum_vacuum_cost_delay = 0
);

CREATE INDEX job_queue ON job (app, priority DESC, seq) WHERE state = 'queued';
-- Not by the time they run out: extending a lease would have to touch the index, and could not stay within its page.
CREATE INDEX job_leases ON job (seq) WHERE state = 'running';
CREATE INDEX job_ends ON job (finished_at) WHERE finished_at IS NOT NULL;

CREATE FUNCTION job_final_states_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'a final state never changes' USING ERRCODE = 'check_violation';
END $$;

CREATE TRIGGER job_final_states_stay BEFORE UPDATE OF state ON job
FOR EACH ROW WHEN (OLD.state IN ('succeeded', 'failed', 'cancelled'))
EXECUTE FUNCTION job_final_states_stay();

CREATE TABLE queue_count (
  app text NOT NULL,
  span integer NOT NULL,
  priority integer NOT NULL,
  run bigint NOT NULL,
  requests bigint NOT NULL,
  steps double precision NOT NULL,
  megapixels double precision NOT NULL,
  megapixel_steps double precision NOT NULL,
  attention double precision NOT NULL,
  PRIMARY KEY (app, span, priority, run)
) WITH (
  fillfactor = 50,
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0
);

-- Always the level first, then the runs: whoever has the level's row has all of them, so no two wait for each other.
CREATE FUNCTION job_arrives() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO queue_count AS known VALUES
    (NEW.app, 0, NEW.priority, 0, 1, NEW.steps, NEW.megapixels, NEW.megapixel_steps, NEW.attention),
    (NEW.app, 12, NEW.priority, NEW.seq >> 12, 1, NEW.steps, NEW.megapixels, NEW.megapixel_steps, NEW.attention),
    (NEW.app, 8, NEW.priority, NEW.seq >> 8, 1, NEW.steps, NEW.megapixels, NEW.megapixel_steps, NEW.attention),
    (NEW.app, 4, NEW.priority, NEW.seq >> 4, 1, NEW.steps, NEW.megapixels, NEW.megapixel_steps, NEW.attention)
  ON CONFLICT (app, span, priority, run) DO UPDATE SET
    requests = known.requests + 1,
    steps = known.steps + excluded.steps,
    megapixels = known.megapixels + excluded.megapixels,
    megapixel_steps = known.megapixel_steps + excluded.megapixel_steps,
    attention = known.attention + excluded.attention;
  RETURN NULL;
END $$;

CREATE FUNCTION job_leaves() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  part record;
  rest bigint;
BEGIN
  FOR part IN SELECT * FROM (VALUES
    (0, 0::bigint), (12, OLD.seq >> 12), (8, OLD.seq >> 8), (4, OLD.seq >> 4)) AS parts (span, run)
  LOOP
    UPDATE queue_count SET
      requests = requests - 1,
      steps = steps - OLD.steps,
      megapixels = megapixels - OLD.megapixels,
      megapixel_steps = megapixel_steps - OLD.megapixel_steps,
      attention = attention - OLD.attention
    WHERE app = OLD.app AND span = part.span AND priority = OLD.priority AND run = part.run
    RETURNING requests INTO rest;
    -- Empty runs go, and the rounding errors of their sums with them.
    IF rest = 0 THEN
      DELETE FROM queue_count
      WHERE app = OLD.app AND span = part.span AND priority = OLD.priority AND run = part.run;
    END IF;
  END LOOP;
  RETURN NULL;
END $$;

CREATE TRIGGER job_arrives AFTER INSERT ON job
FOR EACH ROW WHEN (NEW.state = 'queued') EXECUTE FUNCTION job_arrives();

CREATE TRIGGER job_returns AFTER UPDATE OF state ON job
FOR EACH ROW WHEN (NEW.state = 'queued' AND OLD.state <> 'queued') EXECUTE FUNCTION job_arrives();

CREATE TRIGGER job_leaves AFTER UPDATE OF state ON job
FOR EACH ROW WHEN (OLD.state = 'queued' AND NEW.state <> 'queued') EXECUTE FUNCTION job_leaves();

CREATE TABLE job_log (
  line bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  job_id text NOT NULL REFERENCES job (id) ON DELETE CASCADE,
  at double precision NOT NULL,
  level text NOT NULL,
  message text NOT NULL
);

CREATE INDEX job_log_of_job ON job_log (job_id, line);

CREATE TABLE file (
  key text PRIMARY KEY,
  job_id text NOT NULL,
  lease_token text NOT NULL,
  delete_after double precision
);

CREATE INDEX file_of_attempt ON file (job_id, lease_token);
CREATE INDEX file_to_delete ON file (delete_after) WHERE delete_after IS NOT NULL;

CREATE TABLE api_key (
  id text PRIMARY KEY,
  name text NOT NULL,
  owner text NOT NULL,
  hash bytea NOT NULL UNIQUE,
  created_at double precision NOT NULL,
  expires_at double precision,
  revoked_at double precision,
  max_priority integer
);

CREATE TABLE worker (
  name text PRIMARY KEY,
  model text NOT NULL,
  kind text NOT NULL,
  apps text NOT NULL,
  version text NOT NULL,
  ready boolean NOT NULL,
  problem text,
  seen_at double precision NOT NULL,
  expires_at double precision NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE learned (
  kind text NOT NULL,
  phase text NOT NULL CHECK (phase IN ('draw', 'record')),
  count bigint NOT NULL,
  sums text NOT NULL,
  PRIMARY KEY (kind, phase)
) WITH (fillfactor = 50);
