-- The usage ledger, samples of the service by the minute, and deletions for streams of changes.
--
-- The end of a request appends one row to `usage_entry`, in its own transaction. Maintenance adds the entries up: into
-- `usage`, which is kept, and into `minute_sample`, which is kept for 30 days. None of the three holds a request's id or content.

-- The newest day of the ledger, so that a clock that goes back adds to today's rows, and changes none of the past. A day
-- more than a week ahead is the mistake of another clock: then the ledger goes back to the day that it is.
CREATE TABLE usage_newest_day (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  -- Days since 1970-01-01, in UTC.
  day INTEGER NOT NULL
) STRICT;

CREATE TABLE usage_entry (
  day INTEGER NOT NULL,
  ended_at REAL NOT NULL,
  owner TEXT NOT NULL,
  -- Empty if the key is unknown.
  key_id TEXT NOT NULL,
  app TEXT NOT NULL,
  state TEXT NOT NULL,
  images INTEGER NOT NULL,
  pixels INTEGER NOT NULL,
  device_microseconds INTEGER NOT NULL,
  -- From submit to the first attempt; NULL if there was none, or if it was cut short.
  queue_seconds REAL,
  -- From submit to result; NULL if there is none.
  total_seconds REAL,
  estimated_seconds REAL NOT NULL
) STRICT;

-- Sums are integers, so that they do not depend on the order of the additions.
CREATE TABLE usage (
  day INTEGER NOT NULL,
  owner TEXT NOT NULL,
  key_id TEXT NOT NULL,
  app TEXT NOT NULL,
  requests INTEGER NOT NULL,
  images INTEGER NOT NULL,
  pixels INTEGER NOT NULL,
  device_microseconds INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  cancelled INTEGER NOT NULL,
  PRIMARY KEY (day, owner, key_id, app)
) STRICT, WITHOUT ROWID;

CREATE INDEX usage_of_owner ON usage (owner, day);

-- A failed request, and one that was cancelled before its start, cost nothing. One that was cancelled while it ran costs the
-- images that were finished, and the time since its start: at most a day, as the clock may have jumped.
CREATE TRIGGER job_record_usage AFTER UPDATE OF state ON job WHEN OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL BEGIN
  INSERT INTO usage_newest_day (id, day) VALUES (1, CAST(NEW.finished_at / 86400 AS INTEGER))
  ON CONFLICT (id) DO UPDATE SET day = excluded.day WHERE day NOT BETWEEN excluded.day AND excluded.day + 7;
  INSERT INTO usage_entry
  SELECT (SELECT day FROM usage_newest_day), NEW.finished_at, NEW.owner, COALESCE(NEW.key_id, ''), NEW.app, NEW.state, images,
         COALESCE(images * json_extract(NEW.spec, '$.width') * json_extract(NEW.spec, '$.height'), 0),
         CAST(round(1e6 * COALESCE(seconds, 0.0)) AS INTEGER),
         CASE WHEN NEW.attempt = 1 THEN NEW.started_at - NEW.submitted_at END,
         CASE WHEN NEW.state = 'succeeded' THEN NEW.finished_at - NEW.submitted_at END,
         NEW.estimated_seconds
  FROM (
    SELECT CASE NEW.state WHEN 'succeeded' THEN NEW.image_count
                          WHEN 'cancelled' THEN COALESCE(json_array_length(NEW.finished_images), 0) ELSE 0 END AS images,
           CASE NEW.state WHEN 'succeeded' THEN NEW.inference_seconds
                          WHEN 'cancelled' THEN MIN(MAX(NEW.finished_at - NEW.started_at, 0.0), 86400.0) END AS seconds
  );
END;

-- Of one app and minute. The gauges are NULL until they are sampled. The last three columns are histograms: JSON objects of
-- counts by bucket, see `domain/capacity/series.py`.
CREATE TABLE minute_sample (
  -- Minutes since the epoch.
  minute INTEGER NOT NULL,
  app TEXT NOT NULL,
  queued INTEGER,
  oldest_seconds REAL,
  running INTEGER,
  workers INTEGER,
  finished INTEGER NOT NULL DEFAULT 0,
  failed INTEGER NOT NULL DEFAULT 0,
  queue_wait TEXT NOT NULL DEFAULT '{}',
  total TEXT NOT NULL DEFAULT '{}',
  estimate_error TEXT NOT NULL DEFAULT '{}',
  PRIMARY KEY (minute, app)
) STRICT, WITHOUT ROWID;

CREATE INDEX job_failures ON job (finished_at) WHERE state = 'failed';

-- Deleted requests, for open streams of changes: the newest 20,000, by the number of the deletion.
CREATE TABLE deleted_request (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  owner TEXT NOT NULL,
  id TEXT NOT NULL
) STRICT;

CREATE TRIGGER job_note_deletion AFTER DELETE ON job BEGIN
  INSERT INTO deleted_request (owner, id) VALUES (OLD.owner, OLD.id);
END;

-- Reports that are made from time to time, because a look at every request takes long. `started_at` is set by the process
-- that makes the next one; `body` is JSON, of the last one that was finished.
CREATE TABLE sampled_report (
  name TEXT PRIMARY KEY,
  started_at REAL NOT NULL,
  sampled_at REAL,
  body TEXT
) STRICT, WITHOUT ROWID;
