-- Fair turns: within a priority, users take turns. `docs/decisions/0023` has the reasons and the measurements.
--
-- The order is `priority DESC, turn, seq`. A turn is a virtual time in microseconds of predicted work: the later of the
-- level's clock and of what its user was charged before. With the order `fifo` all turns are alike, which leaves
-- `priority DESC, seq`. A level is a model with a priority: all apps of a model wait for the same workers.

ALTER TABLE job ADD COLUMN model TEXT NOT NULL DEFAULT '';
ALTER TABLE job ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;
-- Microseconds of predicted work, over the user's weight.
ALTER TABLE job ADD COLUMN turn_cost INTEGER NOT NULL DEFAULT 0;
-- The priority whose account was charged; NULL if none was: in the order `fifo`, and by a version without turns.
ALTER TABLE job ADD COLUMN charged_priority INTEGER;
-- `seq` under a name that an index can hold: of a range of (turn, seq), SQLite gives an index only the bounds of `turn`,
-- because `seq` is the rowid, and would then read all rows of an equal turn.
ALTER TABLE job ADD COLUMN arrival INTEGER AS (seq) VIRTUAL;

-- Rows of limited keys are apart, so that a claim can pass over those of a key at its limit all at once. `job_queue` stays:
-- it finds the oldest request, and processes of the version before claim by it.
CREATE INDEX job_turns ON job (app, quota_limited, priority DESC, turn, arrival) WHERE state = 'queued';
CREATE INDEX job_turns_of_key ON job (app, key_id, image_count, priority DESC, turn, arrival)
WHERE state = 'queued' AND quota_limited = 1 AND key_id IS NOT NULL;
-- A user's last turn in a level: a new request never goes before it.
CREATE INDEX job_turns_of_user ON job (model, priority, owner, turn) WHERE state = 'queued' AND charged_priority IS NOT NULL;

-- One row: the order, and the turn of requests that arrive while it is `fifo`.
CREATE TABLE queue_order (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  name TEXT NOT NULL CHECK (name IN ('fair', 'fifo')),
  fifo_turn INTEGER NOT NULL
) STRICT;

INSERT INTO queue_order VALUES (1, 'fair', 0);

-- The virtual time of a level. Only claims advance it.
CREATE TABLE turn_clock (
  model TEXT NOT NULL,
  priority INTEGER NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (model, priority)
) STRICT, WITHOUT ROWID;

-- What a user was charged in a level. A row at or before the clock says nothing, because a turn is never before the clock.
CREATE TABLE turn_account (
  model TEXT NOT NULL,
  priority INTEGER NOT NULL,
  owner TEXT NOT NULL,
  finish INTEGER NOT NULL,
  PRIMARY KEY (model, priority, owner)
) STRICT, WITHOUT ROWID;

-- The share of the cost keeps a crowd of newcomers, who all get the clock's time, from holding the clock still.
CREATE TRIGGER turn_clock_advance AFTER UPDATE OF state ON job
WHEN NEW.state = 'running' AND NEW.charged_priority = NEW.priority AND NEW.seq > 0 BEGIN
  INSERT INTO turn_clock VALUES (NEW.model, NEW.priority, NEW.turn)
  ON CONFLICT DO UPDATE SET at = MAX(at + NEW.turn_cost / 64, excluded.at);
END;

CREATE TRIGGER turn_account_refund AFTER UPDATE OF state ON job
WHEN OLD.state = 'queued' AND NEW.finished_at IS NOT NULL AND OLD.charged_priority IS NOT NULL BEGIN
  UPDATE turn_account SET finish = finish - OLD.turn_cost
  WHERE model = OLD.model AND priority = OLD.charged_priority AND owner = OLD.owner;
END;

CREATE TRIGGER turn_account_refund_deleted AFTER DELETE ON job
WHEN OLD.state = 'queued' AND OLD.charged_priority IS NOT NULL BEGIN
  UPDATE turn_account SET finish = finish - OLD.turn_cost
  WHERE model = OLD.model AND priority = OLD.charged_priority AND owner = OLD.owner;
END;

-- Counters for exact positions: `queue_run` in place of the blocks of `queue_count`.
--
-- The waiting rows of an app and a priority, in their order, are cut into runs of at most 32 rows, and these are counted in
-- runs of at most 1,024 and 32,768 (`grain`); grain 0 is the whole priority. A run begins at (turn, seq) and ends where the
-- next one of its grain begins; the first one of each grain begins at (-1, 0), before every row. A run that is full is cut in
-- two, and one that is nearly empty is added to the one before it. The start of a run is the start of one of each finer grain,
-- too. What is ahead of a row is then: all higher priorities, the runs before its own from the widest grain to the finest,
-- and at most 31 rows.
DROP TRIGGER queue_count_add;
DROP TRIGGER queue_count_return;
DROP TRIGGER queue_count_remove;
DROP TABLE queue_count;

CREATE TABLE queue_run (
  app TEXT NOT NULL,
  grain INTEGER NOT NULL,
  priority INTEGER NOT NULL,
  turn INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  requests INTEGER NOT NULL,
  steps REAL NOT NULL,
  megapixels REAL NOT NULL,
  megapixel_steps REAL NOT NULL,
  attention REAL NOT NULL,
  PRIMARY KEY (app, grain, priority, turn, seq)
) STRICT, WITHOUT ROWID;

-- Runs of 24, 24 by 32 and 24 by 32 by 32, with room for more.
INSERT INTO queue_run
SELECT app, grain, priority, CASE WHEN place < size THEN -1 ELSE 0 END, CASE WHEN place < size THEN 0 ELSE MIN(seq) END,
       COUNT(*), SUM(steps), SUM(megapixels), SUM(megapixel_steps), SUM(attention)
FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY app, priority ORDER BY seq) - 1 AS place FROM job WHERE state = 'queued')
CROSS JOIN (
  SELECT 0 AS grain, 9223372036854775807 AS size UNION ALL VALUES (32, 24), (1024, 768), (32768, 24576)
)
GROUP BY app, priority, grain, place / size;

-- Adds a change to the level of a row and to its runs; called by an INSERT. For rows that leave, the numbers are negative.
CREATE VIEW queue_run_change AS
SELECT app, priority, turn, seq, requests, steps, megapixels, megapixel_steps, attention FROM queue_run;

CREATE TRIGGER queue_run_change_apply INSTEAD OF INSERT ON queue_run_change BEGIN
  INSERT INTO queue_run
  SELECT NEW.app, grain, NEW.priority, -1, 0, 0, 0.0, 0.0, 0.0, 0.0
  FROM (SELECT 0 AS grain UNION ALL VALUES (32), (1024), (32768))
  WHERE NEW.requests > 0
    AND NOT EXISTS (SELECT 1 FROM queue_run WHERE app = NEW.app AND grain = 0 AND priority = NEW.priority);
  -- An upsert, though the rows exist: for an UPDATE of four keys SQLite would read every run. The finest run comes first, so
  -- that a wider one that is full can be cut between two of its runs. Where the last row leaves, so do the sums' rounding
  -- errors.
  INSERT INTO queue_run
  SELECT * FROM (
    SELECT app, grain, priority, turn, seq,
           NEW.requests, NEW.steps, NEW.megapixels, NEW.megapixel_steps, NEW.attention
    FROM queue_run
    WHERE app = NEW.app AND grain = 32 AND priority = NEW.priority AND (turn, seq) <= (+NEW.turn, +NEW.seq)
    ORDER BY turn DESC, seq DESC LIMIT 1
  )
  UNION ALL
  SELECT * FROM (
    SELECT app, grain, priority, turn, seq,
           NEW.requests, NEW.steps, NEW.megapixels, NEW.megapixel_steps, NEW.attention
    FROM queue_run
    WHERE app = NEW.app AND grain = 1024 AND priority = NEW.priority AND (turn, seq) <= (+NEW.turn, +NEW.seq)
    ORDER BY turn DESC, seq DESC LIMIT 1
  )
  UNION ALL
  SELECT * FROM (
    SELECT app, grain, priority, turn, seq,
           NEW.requests, NEW.steps, NEW.megapixels, NEW.megapixel_steps, NEW.attention
    FROM queue_run
    WHERE app = NEW.app AND grain = 32768 AND priority = NEW.priority AND (turn, seq) <= (+NEW.turn, +NEW.seq)
    ORDER BY turn DESC, seq DESC LIMIT 1
  )
  UNION ALL
  VALUES (NEW.app, 0, NEW.priority, -1, 0,
          NEW.requests, NEW.steps, NEW.megapixels, NEW.megapixel_steps, NEW.attention)
  ON CONFLICT DO UPDATE SET
    requests = requests + excluded.requests,
    steps = (steps + excluded.steps) * (requests + excluded.requests > 0),
    megapixels = (megapixels + excluded.megapixels) * (requests + excluded.requests > 0),
    megapixel_steps = (megapixel_steps + excluded.megapixel_steps) * (requests + excluded.requests > 0),
    attention = (attention + excluded.attention) * (requests + excluded.requests > 0);
END;

CREATE TRIGGER job_count_add AFTER INSERT ON job WHEN NEW.state = 'queued' BEGIN
  INSERT INTO queue_run_change
  VALUES (NEW.app, NEW.priority, NEW.turn, NEW.seq, 1, NEW.steps, NEW.megapixels, NEW.megapixel_steps, NEW.attention);
END;

CREATE TRIGGER job_count_remove AFTER UPDATE OF state ON job WHEN OLD.state = 'queued' AND NEW.state <> 'queued' BEGIN
  INSERT INTO queue_run_change
  VALUES (OLD.app, OLD.priority, OLD.turn, OLD.seq, -1, -OLD.steps, -OLD.megapixels, -OLD.megapixel_steps, -OLD.attention);
END;

CREATE TRIGGER job_count_return AFTER UPDATE OF state ON job WHEN NEW.state = 'queued' AND OLD.state <> 'queued' BEGIN
  INSERT INTO queue_run_change
  VALUES (NEW.app, NEW.priority, NEW.turn, NEW.seq, 1, NEW.steps, NEW.megapixels, NEW.megapixel_steps, NEW.attention);
END;

CREATE TRIGGER job_count_move AFTER UPDATE OF priority, turn, seq ON job
WHEN OLD.state = 'queued' AND NEW.state = 'queued' BEGIN
  INSERT INTO queue_run_change VALUES
    (OLD.app, OLD.priority, OLD.turn, OLD.seq, -1, -OLD.steps, -OLD.megapixels, -OLD.megapixel_steps, -OLD.attention),
    (NEW.app, NEW.priority, NEW.turn, NEW.seq, 1, NEW.steps, NEW.megapixels, NEW.megapixel_steps, NEW.attention);
END;

CREATE TRIGGER job_count_delete AFTER DELETE ON job WHEN OLD.state = 'queued' BEGIN
  INSERT INTO queue_run_change
  VALUES (OLD.app, OLD.priority, OLD.turn, OLD.seq, -1, -OLD.steps, -OLD.megapixels, -OLD.megapixel_steps, -OLD.attention);
END;

-- Cuts, and additions of small runs to others. SQLite sets up the whole program of a trigger before it looks at its WHEN, so
-- the triggers on `queue_run` are short, and the long programs are those of views, each called by an INSERT.
CREATE VIEW queue_run_full AS SELECT app, grain, priority, turn, seq FROM queue_run;
CREATE VIEW queue_run_bounded AS SELECT app, grain, priority, turn, seq, turn AS end_turn, seq AS end_seq FROM queue_run;
CREATE VIEW queue_run_cut AS
SELECT app, grain, priority, turn, seq, turn AS end_turn, seq AS end_seq, turn AS cut_turn, seq AS cut_seq FROM queue_run;
CREATE VIEW queue_run_small AS SELECT app, grain, priority, turn, seq, requests FROM queue_run;
CREATE VIEW queue_run_merge AS SELECT app, grain, priority, turn, seq, turn AS into_turn, seq AS into_seq FROM queue_run;

CREATE TRIGGER queue_run_grow AFTER UPDATE OF requests ON queue_run
WHEN NEW.requests > NEW.grain AND NEW.grain > 0 AND NEW.requests > OLD.requests BEGIN
  INSERT INTO queue_run_full VALUES (NEW.app, NEW.grain, NEW.priority, NEW.turn, NEW.seq);
END;

CREATE TRIGGER queue_run_shrink AFTER UPDATE OF requests ON queue_run
WHEN NEW.requests * 4 <= NEW.grain AND NEW.turn >= 0 AND NEW.requests < OLD.requests BEGIN
  INSERT INTO queue_run_small VALUES (NEW.app, NEW.grain, NEW.priority, NEW.turn, NEW.seq, NEW.requests);
END;

CREATE TRIGGER queue_run_end_level AFTER UPDATE OF requests ON queue_run
WHEN NEW.grain = 0 AND NEW.requests = 0 BEGIN
  DELETE FROM queue_run WHERE app = NEW.app AND grain IN (0, 32, 1024, 32768) AND priority = NEW.priority;
END;

CREATE TRIGGER queue_run_find_end INSTEAD OF INSERT ON queue_run_full BEGIN
  INSERT INTO queue_run_bounded
  SELECT NEW.app, NEW.grain, NEW.priority, NEW.turn, NEW.seq, following.turn, following.seq
  FROM (
    SELECT * FROM (
      SELECT turn, seq FROM queue_run
      WHERE app = NEW.app AND grain = NEW.grain AND priority = NEW.priority AND (turn, seq) > (+NEW.turn, +NEW.seq)
      ORDER BY turn, seq LIMIT 1
    )
    UNION ALL
    SELECT 9223372036854775807, 0
    LIMIT 1
  ) AS following;
END;

-- A run is cut in the middle, but the last one of a level before its last row: runs to which rows are only appended are
-- then full.
CREATE TRIGGER queue_run_cut_at_row INSTEAD OF INSERT ON queue_run_bounded WHEN NEW.grain = 32 BEGIN
  INSERT INTO queue_run_cut
  SELECT NEW.app, NEW.grain, NEW.priority, NEW.turn, NEW.seq, NEW.end_turn, NEW.end_seq, turn, seq
  FROM (
    SELECT turn, arrival AS seq, ROW_NUMBER() OVER (ORDER BY turn, arrival) AS place, COUNT(*) OVER () AS size FROM job
    WHERE state = 'queued' AND app = NEW.app AND quota_limited IN (0, 1) AND priority = NEW.priority
      AND (turn, arrival) >= (+NEW.turn, +NEW.seq) AND (turn, arrival) < (+NEW.end_turn, +NEW.end_seq)
  )
  WHERE size > 1 AND place = CASE NEW.end_turn WHEN 9223372036854775807 THEN size ELSE 1 + size / 2 END;
END;

CREATE TRIGGER queue_run_cut_at_run INSTEAD OF INSERT ON queue_run_bounded WHEN NEW.grain > 32 BEGIN
  INSERT INTO queue_run_cut
  SELECT NEW.app, NEW.grain, NEW.priority, NEW.turn, NEW.seq, NEW.end_turn, NEW.end_seq, turn, seq
  FROM (
    SELECT turn, seq, ROW_NUMBER() OVER (ORDER BY turn, seq) AS place, COUNT(*) OVER () AS size FROM queue_run
    WHERE app = NEW.app AND grain = NEW.grain / 32 AND priority = NEW.priority
      AND (turn, seq) >= (+NEW.turn, +NEW.seq) AND (turn, seq) < (+NEW.end_turn, +NEW.end_seq)
  )
  WHERE size > 1 AND place = CASE NEW.end_turn WHEN 9223372036854775807 THEN size ELSE 1 + size / 2 END;
END;

CREATE TRIGGER queue_run_split INSTEAD OF INSERT ON queue_run_cut BEGIN
  INSERT INTO queue_run
  SELECT NEW.app, NEW.grain, NEW.priority, NEW.cut_turn, NEW.cut_seq,
         SUM(requests), SUM(steps), SUM(megapixels), SUM(megapixel_steps), SUM(attention)
  FROM (
    SELECT 1 AS requests, steps, megapixels, megapixel_steps, attention FROM job
    WHERE NEW.grain = 32 AND state = 'queued' AND app = NEW.app AND quota_limited IN (0, 1) AND priority = NEW.priority
      AND (turn, arrival) >= (+NEW.cut_turn, +NEW.cut_seq) AND (turn, arrival) < (+NEW.end_turn, +NEW.end_seq)
    UNION ALL
    SELECT requests, steps, megapixels, megapixel_steps, attention FROM queue_run
    WHERE NEW.grain > 32 AND app = NEW.app AND grain = NEW.grain / 32 AND priority = NEW.priority
      AND (turn, seq) >= (+NEW.cut_turn, +NEW.cut_seq) AND (turn, seq) < (+NEW.end_turn, +NEW.end_seq)
  );
  UPDATE queue_run SET
    requests = queue_run.requests - cut.requests,
    steps = queue_run.steps - cut.steps,
    megapixels = queue_run.megapixels - cut.megapixels,
    megapixel_steps = queue_run.megapixel_steps - cut.megapixel_steps,
    attention = queue_run.attention - cut.attention
  FROM queue_run AS cut
  WHERE cut.app = NEW.app AND cut.grain = NEW.grain AND cut.priority = NEW.priority
    AND cut.turn = NEW.cut_turn AND cut.seq = NEW.cut_seq
    AND queue_run.app = NEW.app AND queue_run.grain = NEW.grain AND queue_run.priority = NEW.priority
    AND queue_run.turn = NEW.turn AND queue_run.seq = NEW.seq;
END;

-- Cancels of requests here and there would otherwise leave runs of one row each. A run stays where a wider one begins.
CREATE TRIGGER queue_run_find_previous INSTEAD OF INSERT ON queue_run_small
WHEN NOT EXISTS (
  SELECT 1 FROM queue_run
  WHERE app = NEW.app AND grain = NEW.grain * 32 AND priority = NEW.priority AND turn = NEW.turn AND seq = NEW.seq
) BEGIN
  INSERT INTO queue_run_merge
  SELECT NEW.app, NEW.grain, NEW.priority, NEW.turn, NEW.seq, turn, seq
  FROM (
    SELECT turn, seq, requests FROM queue_run
    WHERE app = NEW.app AND grain = NEW.grain AND priority = NEW.priority AND (turn, seq) < (+NEW.turn, +NEW.seq)
    ORDER BY turn DESC, seq DESC LIMIT 1
  )
  WHERE NEW.requests = 0 OR (requests + NEW.requests) * 2 <= NEW.grain;
END;

CREATE TRIGGER queue_run_add_to_previous INSTEAD OF INSERT ON queue_run_merge BEGIN
  UPDATE queue_run SET
    requests = queue_run.requests + small.requests,
    steps = queue_run.steps + small.steps,
    megapixels = queue_run.megapixels + small.megapixels,
    megapixel_steps = queue_run.megapixel_steps + small.megapixel_steps,
    attention = queue_run.attention + small.attention
  FROM queue_run AS small
  WHERE small.app = NEW.app AND small.grain = NEW.grain AND small.priority = NEW.priority
    AND small.turn = NEW.turn AND small.seq = NEW.seq
    AND queue_run.app = NEW.app AND queue_run.grain = NEW.grain AND queue_run.priority = NEW.priority
    AND queue_run.turn = NEW.into_turn AND queue_run.seq = NEW.into_seq;
  DELETE FROM queue_run
  WHERE app = NEW.app AND grain = NEW.grain AND priority = NEW.priority AND turn = NEW.turn AND seq = NEW.seq;
END;

-- What processes of the version before read for positions, which to them are by `priority DESC, seq`. They read all that
-- waits, for as long as they run next to this version.
CREATE VIEW queue_count AS
SELECT app, 0 AS level, priority, 0 AS block, requests, steps, megapixels, megapixel_steps, attention
FROM queue_run WHERE grain = 0
UNION ALL
SELECT app, 12, priority, seq >> 12, COUNT(*), SUM(steps), SUM(megapixels), SUM(megapixel_steps), SUM(attention)
FROM job WHERE state = 'queued' GROUP BY app, priority, seq >> 12
UNION ALL
SELECT app, 8, priority, seq >> 8, COUNT(*), SUM(steps), SUM(megapixels), SUM(megapixel_steps), SUM(attention)
FROM job WHERE state = 'queued' GROUP BY app, priority, seq >> 8
UNION ALL
SELECT app, 4, priority, seq >> 4, COUNT(*), SUM(steps), SUM(megapixels), SUM(megapixel_steps), SUM(attention)
FROM job WHERE state = 'queued' GROUP BY app, priority, seq >> 4;
