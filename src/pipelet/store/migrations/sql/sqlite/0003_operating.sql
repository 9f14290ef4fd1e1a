-- Limits of keys, paused apps, workers that drain, and requests that are moved to the front.
--
-- Processes of the version before may go on while this happens: what they write fits, and what they submit counts against
-- no key. They know of no pause and no limit until they are replaced.

-- Kept by triggers, for keys with limits alone: how many images of the key's requests wait and run right now.
ALTER TABLE api_key ADD COLUMN max_queued_images INTEGER;
ALTER TABLE api_key ADD COLUMN max_running_images INTEGER;
ALTER TABLE api_key ADD COLUMN queued_images INTEGER NOT NULL DEFAULT 0;
ALTER TABLE api_key ADD COLUMN running_images INTEGER NOT NULL DEFAULT 0;

-- `limited`: its key has limits, and counts it. Whether that is so stands in the row itself, so that the requests of all
-- other keys cost neither their triggers nor their claims a look at `api_key`.
ALTER TABLE job ADD COLUMN key_id TEXT;
ALTER TABLE job ADD COLUMN limited INTEGER NOT NULL DEFAULT 0 CHECK (limited IN (0, 1));
ALTER TABLE job ADD COLUMN image_count INTEGER NOT NULL DEFAULT 1;
-- What the user asked for, where an operator has moved it to the front since.
ALTER TABLE job ADD COLUMN asked_priority INTEGER;

UPDATE job SET image_count = COALESCE(json_extract(spec, '$.batch_size'), 1) WHERE state = 'queued';
UPDATE job SET image_count = COALESCE(json_extract(spec, '$.batch_size'), 1) WHERE state = 'running';

CREATE TRIGGER job_allowance_begins AFTER INSERT ON job WHEN NEW.limited BEGIN
  UPDATE api_key SET queued_images = queued_images + NEW.image_count WHERE id = NEW.key_id;
END;

CREATE TRIGGER job_allowance_moves AFTER UPDATE OF state ON job WHEN NEW.limited BEGIN
  UPDATE api_key SET
    queued_images = queued_images + NEW.image_count * ((NEW.state = 'queued') - (OLD.state = 'queued')),
    running_images = running_images + NEW.image_count * ((NEW.state = 'running') - (OLD.state = 'running'))
  WHERE id = NEW.key_id;
END;

-- A waiting request that is moved leaves the place that it had, as in `job_leaves`, and arrives at another.
CREATE TRIGGER job_moves AFTER UPDATE OF priority, seq ON job WHEN OLD.state = 'queued' AND NEW.state = 'queued' BEGIN
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
  DELETE FROM queue_count
  WHERE app = OLD.app AND span IN (0, 12, 8, 4) AND priority = OLD.priority
    AND run IN (0, OLD.seq >> 12, OLD.seq >> 8, OLD.seq >> 4) AND requests = 0;
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

CREATE TABLE paused_app (
  app TEXT PRIMARY KEY,
  since REAL NOT NULL
) STRICT, WITHOUT ROWID;

ALTER TABLE worker ADD COLUMN draining INTEGER NOT NULL DEFAULT 0 CHECK (draining IN (0, 1));
