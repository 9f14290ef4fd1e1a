-- The usage ledger, samples of the service by the minute, and deletions for streams of changes;
-- `sqlite/0005_usage.sql` explains the tables and columns.
--
-- Requests that end at the same time append rows of their own. If they updated one row of the ledger, each would hold it
-- until its commit is on disk, and the requests of one key would end one after the other.

CREATE TABLE usage_newest_day (
  id integer PRIMARY KEY CHECK (id = 1),
  day integer NOT NULL
);

CREATE TABLE usage_entry (
  day integer NOT NULL,
  ended_at double precision NOT NULL,
  owner text NOT NULL,
  key_id text NOT NULL,
  app text NOT NULL,
  state text NOT NULL,
  images integer NOT NULL,
  pixels bigint NOT NULL,
  device_microseconds bigint NOT NULL,
  queue_seconds double precision,
  total_seconds double precision,
  estimated_seconds double precision NOT NULL
) WITH (
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0
);

CREATE TABLE usage (
  day integer NOT NULL,
  owner text NOT NULL,
  key_id text NOT NULL,
  app text NOT NULL,
  requests bigint NOT NULL,
  images bigint NOT NULL,
  pixels bigint NOT NULL,
  device_microseconds bigint NOT NULL,
  failed bigint NOT NULL,
  cancelled bigint NOT NULL,
  PRIMARY KEY (day, owner, key_id, app)
) WITH (fillfactor = 50);

CREATE INDEX usage_of_owner ON usage (owner, day);

CREATE FUNCTION job_record_usage() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  today integer := floor(NEW.finished_at / 86400);
  delivered integer := CASE NEW.state
    WHEN 'succeeded' THEN NEW.image_count
    WHEN 'cancelled' THEN COALESCE(json_array_length(NEW.finished_images::json), 0)
    ELSE 0
  END;
  seconds double precision := CASE NEW.state
    WHEN 'succeeded' THEN NEW.inference_seconds
    WHEN 'cancelled' THEN LEAST(GREATEST(NEW.finished_at - NEW.started_at, 0), 86400) -- 0 if it never started
    ELSE 0
  END;
  pixels bigint := 0;
BEGIN
  IF delivered > 0 THEN
    -- Not parsed as JSON, which would be a third of the trigger's time. In a text of a user, the quotes are escaped.
    pixels := delivered * substring(split_part(NEW.spec, '"width": ', 2) FROM '^\d+')::bigint
                        * substring(split_part(NEW.spec, '"height": ', 2) FROM '^\d+')::bigint;
  END IF;
  FOR attempt IN 1..2 LOOP
    INSERT INTO usage_entry
    SELECT day, NEW.finished_at, NEW.owner, COALESCE(NEW.key_id, ''), NEW.app, NEW.state, delivered, COALESCE(pixels, 0),
           round(1e6 * COALESCE(seconds, 0)),
           CASE WHEN NEW.attempt = 1 THEN NEW.started_at - NEW.submitted_at END,
           CASE WHEN NEW.state = 'succeeded' THEN NEW.finished_at - NEW.submitted_at END,
           NEW.estimated_seconds
    FROM usage_newest_day
    WHERE day BETWEEN today AND today + 7;
    EXIT WHEN FOUND;
    -- Only the first end of a day gets here, and locks the row.
    INSERT INTO usage_newest_day AS known (id, day) VALUES (1, today)
    ON CONFLICT (id) DO UPDATE SET day = excluded.day WHERE known.day NOT BETWEEN excluded.day AND excluded.day + 7;
  END LOOP;
  RETURN NULL;
END $$;

CREATE TRIGGER job_record_usage AFTER UPDATE OF state ON job
FOR EACH ROW WHEN (OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL) EXECUTE FUNCTION job_record_usage();

CREATE TABLE minute_sample (
  minute integer NOT NULL,
  app text NOT NULL,
  queued bigint,
  oldest_seconds double precision,
  running bigint,
  workers bigint,
  finished bigint NOT NULL DEFAULT 0,
  failed bigint NOT NULL DEFAULT 0,
  queue_wait text NOT NULL DEFAULT '{}',
  total text NOT NULL DEFAULT '{}',
  estimate_error text NOT NULL DEFAULT '{}',
  PRIMARY KEY (minute, app)
) WITH (fillfactor = 70);

CREATE INDEX job_failures ON job (finished_at) WHERE state = 'failed';

CREATE TABLE deleted_request (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  owner text NOT NULL,
  id text NOT NULL
);

CREATE FUNCTION job_note_deletion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO deleted_request (owner, id) SELECT owner, id FROM deleted;
  RETURN NULL;
END $$;

CREATE TRIGGER job_note_deletion AFTER DELETE ON job
REFERENCING OLD TABLE AS deleted FOR EACH STATEMENT EXECUTE FUNCTION job_note_deletion();

CREATE TABLE sampled_report (
  name text PRIMARY KEY,
  started_at double precision NOT NULL,
  sampled_at double precision,
  body text
);
