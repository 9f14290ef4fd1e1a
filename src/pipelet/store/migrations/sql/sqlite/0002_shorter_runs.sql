-- `queue_count` counts by runs of 4,096, 256 and 16 arrivals (spans 12, 8 and 4) instead of 4,096 and 64.
--
-- A poll adds up the runs and rows before its own: with 64 by 64 that were 63 on average and 126 at most, beside the long
-- runs; with 16 by 16 by 16 it is 22 and 45. A submit pays for it with one upsert more, of a microsecond.

DROP TRIGGER job_arrives;
DROP TRIGGER job_returns;
DROP TRIGGER job_leaves;

DELETE FROM queue_count WHERE span = 6;

INSERT INTO queue_count
SELECT app, 8, priority, seq >> 8, COUNT(*), SUM(steps), SUM(megapixels), SUM(megapixel_steps), SUM(attention)
FROM job WHERE state = 'queued' GROUP BY app, priority, seq >> 8;

INSERT INTO queue_count
SELECT app, 4, priority, seq >> 4, COUNT(*), SUM(steps), SUM(megapixels), SUM(megapixel_steps), SUM(attention)
FROM job WHERE state = 'queued' GROUP BY app, priority, seq >> 4;

CREATE TRIGGER job_arrives AFTER INSERT ON job WHEN NEW.state = 'queued' BEGIN
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

CREATE TRIGGER job_returns AFTER UPDATE OF state ON job WHEN NEW.state = 'queued' AND OLD.state <> 'queued' BEGIN
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

CREATE TRIGGER job_leaves AFTER UPDATE OF state ON job WHEN OLD.state = 'queued' AND NEW.state <> 'queued' BEGIN
  -- As an upsert, though the rows are there: SQLite would look for (span, run) pairs by reading every run of the app.
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
  -- Empty runs go, and the rounding errors of their sums with them.
  DELETE FROM queue_count
  WHERE app = OLD.app AND span IN (0, 12, 8, 4) AND priority = OLD.priority
    AND run IN (0, OLD.seq >> 12, OLD.seq >> 8, OLD.seq >> 4) AND requests = 0;
END;
