-- Fair turns; `sqlite/0002_fair_turns.sql` explains the tables, columns and counters.
--
-- Locks are taken in one order: a job's row, its key, its user's account, the level's counters, the level's clock. By their
-- names, triggers run in that order, too.

ALTER TABLE job
  ADD COLUMN model text NOT NULL DEFAULT '',
  ADD COLUMN turn bigint NOT NULL DEFAULT 0,
  ADD COLUMN turn_cost bigint NOT NULL DEFAULT 0,
  ADD COLUMN charged_priority integer;

-- The conditions on NULL keep the second and third from positions: in the order `fifo` all turns are alike, and the planner does
-- not know that `seq` alone bounds a range of rows, so that to it every index with `turn` looks as good as the first.
CREATE INDEX job_turns ON job (app, quota_limited, priority DESC, turn, seq) WHERE state = 'queued';
CREATE INDEX job_turns_of_key ON job (app, key_id, image_count, priority DESC, turn, seq)
WHERE state = 'queued' AND quota_limited AND key_id IS NOT NULL;
CREATE INDEX job_turns_of_user ON job (model, priority, owner, turn)
WHERE state = 'queued' AND charged_priority IS NOT NULL;

CREATE TABLE queue_order (
  id integer PRIMARY KEY CHECK (id = 1),
  name text NOT NULL CHECK (name IN ('fair', 'fifo')),
  fifo_turn bigint NOT NULL
);

INSERT INTO queue_order VALUES (1, 'fair', 0);

CREATE TABLE turn_clock (
  model text NOT NULL,
  priority integer NOT NULL,
  at bigint NOT NULL,
  PRIMARY KEY (model, priority)
) WITH (
  fillfactor = 50,
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0
);

CREATE TABLE turn_account (
  model text NOT NULL,
  priority integer NOT NULL,
  owner text NOT NULL,
  finish bigint NOT NULL,
  PRIMARY KEY (model, priority, owner)
) WITH (
  fillfactor = 50,
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0
);

-- The time of a level's clock. In a level without one, which is new or was renamed, it begins with the first turn that waits.
CREATE FUNCTION turn_clock_at(of_model text, of_app text, of_priority integer) RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT COALESCE(
    (SELECT at FROM turn_clock WHERE model = of_model AND priority = of_priority),
    LEAST(
      (SELECT turn FROM job WHERE state = 'queued' AND app = of_app AND quota_limited = false AND priority = of_priority
       ORDER BY turn LIMIT 1),
      (SELECT turn FROM job WHERE state = 'queued' AND app = of_app AND quota_limited = true AND priority = of_priority
       ORDER BY turn LIMIT 1)
    ),
    0
  )
$$;

CREATE FUNCTION turn_account_refund() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE turn_account SET finish = finish - OLD.turn_cost
  WHERE model = OLD.model AND priority = OLD.charged_priority AND owner = OLD.owner;
  RETURN NULL;
END $$;

CREATE TRIGGER job_1_refund AFTER UPDATE OF state ON job
FOR EACH ROW WHEN (OLD.state = 'queued' AND NEW.finished_at IS NOT NULL AND OLD.charged_priority IS NOT NULL)
EXECUTE FUNCTION turn_account_refund();

CREATE TRIGGER job_1_refund_deleted AFTER DELETE ON job
FOR EACH ROW WHEN (OLD.state = 'queued' AND OLD.charged_priority IS NOT NULL)
EXECUTE FUNCTION turn_account_refund();

CREATE FUNCTION turn_clock_advance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO turn_clock AS known VALUES (NEW.model, NEW.priority, NEW.turn)
  ON CONFLICT (model, priority) DO UPDATE SET at = GREATEST(known.at + NEW.turn_cost / 64, excluded.at);
  RETURN NULL;
END $$;

CREATE TRIGGER job_3_advance_clock AFTER UPDATE OF state ON job
FOR EACH ROW WHEN (OLD.state = 'queued' AND NEW.state = 'running' AND NEW.charged_priority = NEW.priority AND NEW.seq > 0)
EXECUTE FUNCTION turn_clock_advance();

DROP TRIGGER queue_count_add ON job;
DROP TRIGGER queue_count_move_1_remove ON job;
DROP TRIGGER queue_count_move_2_add ON job;
DROP FUNCTION queue_count_add();
DROP FUNCTION queue_count_remove();
DROP TABLE queue_count;

CREATE TABLE queue_run (
  app text NOT NULL,
  grain integer NOT NULL,
  priority integer NOT NULL,
  turn bigint NOT NULL,
  seq bigint NOT NULL,
  requests bigint NOT NULL,
  steps double precision NOT NULL,
  megapixels double precision NOT NULL,
  megapixel_steps double precision NOT NULL,
  attention double precision NOT NULL,
  PRIMARY KEY (app, grain, priority, turn, seq)
) WITH (
  fillfactor = 50,
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0
);

-- Counts all that waits, after its triggers were switched off. No other transaction may change the queue.
CREATE FUNCTION queue_run_rebuild() RETURNS void LANGUAGE sql AS $$
  DELETE FROM queue_run;
  INSERT INTO queue_run
  SELECT app, grain, priority,
         CASE WHEN min(place) < size THEN -1 ELSE (array_agg(turn ORDER BY place))[1] END,
         CASE WHEN min(place) < size THEN 0 ELSE (array_agg(seq ORDER BY place))[1] END,
         count(*), sum(steps), sum(megapixels), sum(megapixel_steps), sum(attention)
  FROM (SELECT *, row_number() OVER (PARTITION BY app, priority ORDER BY turn, seq) - 1 AS place
        FROM job WHERE state = 'queued') AS waiting
  CROSS JOIN (VALUES (0, 9223372036854775807), (32, 24), (1024, 768), (32768, 24576)) AS runs (grain, size)
  GROUP BY app, priority, grain, size, place / size
$$;

SELECT queue_run_rebuild();

-- The waiting rows of an app and a priority from one place to before another. Those of limited keys on their own: a plan for
-- both together would use another index, and read all rows of equal turns.
CREATE FUNCTION queue_rows(of_app text, of_priority integer, from_turn bigint, from_seq bigint, to_turn bigint, to_seq bigint)
RETURNS SETOF job LANGUAGE sql STABLE AS $$
  SELECT * FROM job
  WHERE state = 'queued' AND app = of_app AND quota_limited = false AND priority = of_priority
    AND (turn, seq) >= (from_turn, from_seq) AND (turn, seq) < (to_turn, to_seq)
  UNION ALL
  SELECT * FROM job
  WHERE state = 'queued' AND app = of_app AND quota_limited = true AND priority = of_priority
    AND (turn, seq) >= (from_turn, from_seq) AND (turn, seq) < (to_turn, to_seq)
$$;

-- Begins a run before the given row or run; `cut` is its sums. The run that it is cut from begins at (old_turn, old_seq).
CREATE FUNCTION queue_run_split(cut queue_run, old_turn bigint, old_seq bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO queue_run SELECT cut.*;
  UPDATE queue_run SET
    requests = requests - cut.requests,
    steps = steps - cut.steps,
    megapixels = megapixels - cut.megapixels,
    megapixel_steps = megapixel_steps - cut.megapixel_steps,
    attention = attention - cut.attention
  WHERE app = cut.app AND grain = cut.grain AND priority = cut.priority AND turn = old_turn AND seq = old_seq;
END $$;

CREATE FUNCTION queue_run_cut(full_run queue_run) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  after record;
  cut record;
  sums queue_run;
BEGIN
  SELECT turn, seq INTO after FROM queue_run
  WHERE app = full_run.app AND grain = full_run.grain AND priority = full_run.priority
    AND (turn, seq) > (full_run.turn, full_run.seq)
  ORDER BY turn, seq LIMIT 1;
  IF NOT FOUND THEN
    SELECT 9223372036854775807 AS turn, 0::bigint AS seq INTO after;
  END IF;
  IF full_run.grain = 32 THEN
    SELECT turn, seq, size INTO cut FROM (
      SELECT turn, seq, row_number() OVER (ORDER BY turn, seq) AS place, count(*) OVER () AS size
      FROM queue_rows(full_run.app, full_run.priority, full_run.turn, full_run.seq, after.turn, after.seq)
    ) AS of_run
    WHERE place = CASE after.turn WHEN 9223372036854775807 THEN size ELSE 1 + size / 2 END;
    -- The triggers of a statement with several rows see all of them, also those that are not counted yet: such a run is cut
    -- later.
    IF cut.size IS DISTINCT FROM full_run.requests THEN
      RETURN;
    END IF;
    SELECT full_run.app, full_run.grain, full_run.priority, cut.turn, cut.seq,
           count(*), sum(steps), sum(megapixels), sum(megapixel_steps), sum(attention)
    INTO sums FROM queue_rows(full_run.app, full_run.priority, cut.turn, cut.seq, after.turn, after.seq);
  ELSE
    SELECT turn, seq, size INTO cut FROM (
      SELECT turn, seq, row_number() OVER (ORDER BY turn, seq) AS place, count(*) OVER () AS size FROM queue_run
      WHERE app = full_run.app AND grain = full_run.grain / 32 AND priority = full_run.priority
        AND (turn, seq) >= (full_run.turn, full_run.seq) AND (turn, seq) < (after.turn, after.seq)
    ) AS of_run
    WHERE size > 1 AND place = CASE after.turn WHEN 9223372036854775807 THEN size ELSE 1 + size / 2 END;
    IF NOT FOUND THEN
      RETURN;
    END IF;
    SELECT full_run.app, full_run.grain, full_run.priority, cut.turn, cut.seq,
           sum(requests), sum(steps), sum(megapixels), sum(megapixel_steps), sum(attention)
    INTO sums FROM queue_run
    WHERE app = full_run.app AND grain = full_run.grain / 32 AND priority = full_run.priority
      AND (turn, seq) >= (cut.turn, cut.seq) AND (turn, seq) < (after.turn, after.seq);
  END IF;
  PERFORM queue_run_split(sums, full_run.turn, full_run.seq);
END $$;

-- Adds a small run to the one before it, unless a wider run begins with it.
CREATE FUNCTION queue_run_merge(small queue_run) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (
    SELECT 1 FROM queue_run
    WHERE app = small.app AND grain = small.grain * 32 AND priority = small.priority
      AND turn = small.turn AND seq = small.seq
  ) THEN
    RETURN;
  END IF;
  UPDATE queue_run SET
    requests = requests + small.requests,
    steps = steps + small.steps,
    megapixels = megapixels + small.megapixels,
    megapixel_steps = megapixel_steps + small.megapixel_steps,
    attention = attention + small.attention
  WHERE ctid = (
    SELECT ctid FROM queue_run
    WHERE app = small.app AND grain = small.grain AND priority = small.priority AND (turn, seq) < (small.turn, small.seq)
    ORDER BY turn DESC, seq DESC LIMIT 1
  ) AND (small.requests = 0 OR (requests + small.requests) * 2 <= grain);
  IF FOUND THEN
    DELETE FROM queue_run
    WHERE app = small.app AND grain = small.grain AND priority = small.priority AND turn = small.turn AND seq = small.seq;
  END IF;
END $$;

-- Adds a row to the counters, or takes it off them (`change` is -1). The level's row comes first and is the lock of all its
-- runs: each statement after it sees what the transaction before has done to them.
CREATE FUNCTION queue_run_change(place job, change integer, may_cut boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  run queue_run;
  waiting bigint;
  of_grain integer;
BEGIN
  IF change > 0 THEN
    INSERT INTO queue_run AS level
    VALUES (place.app, 0, place.priority, -1, 0, 1, place.steps, place.megapixels, place.megapixel_steps, place.attention)
    ON CONFLICT (app, grain, priority, turn, seq) DO UPDATE SET
      requests = level.requests + 1,
      steps = level.steps + excluded.steps,
      megapixels = level.megapixels + excluded.megapixels,
      megapixel_steps = level.megapixel_steps + excluded.megapixel_steps,
      attention = level.attention + excluded.attention
    RETURNING requests INTO waiting;
    IF waiting = 1 THEN
      INSERT INTO queue_run
      SELECT place.app, grain, place.priority, -1, 0, 1, place.steps, place.megapixels, place.megapixel_steps, place.attention
      FROM unnest('{32, 1024, 32768}'::integer[]) AS grain;
      RETURN;
    END IF;
  ELSE
    UPDATE queue_run SET
      requests = requests - 1,
      steps = steps - place.steps,
      megapixels = megapixels - place.megapixels,
      megapixel_steps = megapixel_steps - place.megapixel_steps,
      attention = attention - place.attention
    WHERE app = place.app AND grain = 0 AND priority = place.priority AND turn = -1 AND seq = 0
    RETURNING requests INTO waiting;
    IF waiting = 0 THEN
      DELETE FROM queue_run
      WHERE app = place.app AND grain = ANY('{0, 32, 1024, 32768}') AND priority = place.priority;
      RETURN;
    END IF;
  END IF;
  -- The finest first: a wider one that is full can then be cut between two of its runs. By `ctid`, because a plan of one
  -- UPDATE that joins the runs would read all of them.
  FOREACH of_grain IN ARRAY '{32, 1024, 32768}'::integer[] LOOP
    UPDATE queue_run SET
      requests = requests + change,
      steps = CASE WHEN requests + change > 0 THEN steps + change * place.steps ELSE 0 END,
      megapixels = CASE WHEN requests + change > 0 THEN megapixels + change * place.megapixels ELSE 0 END,
      megapixel_steps = CASE WHEN requests + change > 0 THEN megapixel_steps + change * place.megapixel_steps ELSE 0 END,
      attention = CASE WHEN requests + change > 0 THEN attention + change * place.attention ELSE 0 END
    WHERE ctid = (
      SELECT ctid FROM queue_run
      WHERE app = place.app AND grain = of_grain AND priority = place.priority AND (turn, seq) <= (place.turn, place.seq)
      ORDER BY turn DESC, seq DESC LIMIT 1
    )
    RETURNING * INTO run;
    IF change > 0 AND run.requests > of_grain AND may_cut THEN
      PERFORM queue_run_cut(run);
    ELSIF change < 0 AND run.requests * 4 <= of_grain AND run.turn >= 0 THEN
      PERFORM queue_run_merge(run);
    END IF;
  END LOOP;
END $$;

CREATE FUNCTION job_count_add() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM queue_run_change(NEW, 1, true);
  RETURN NULL;
END $$;

CREATE FUNCTION job_count_remove() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM queue_run_change(OLD, -1, false);
  RETURN NULL;
END $$;

-- From below, as every transaction locks two levels of an app. A move cuts no run: in a statement with several rows it could
-- not know whether all rows are counted.
CREATE FUNCTION job_count_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.priority < OLD.priority THEN
    PERFORM queue_run_change(NEW, 1, false);
    PERFORM queue_run_change(OLD, -1, false);
  ELSE
    PERFORM queue_run_change(OLD, -1, false);
    PERFORM queue_run_change(NEW, 1, false);
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER job_2_count_add AFTER INSERT ON job
FOR EACH ROW WHEN (NEW.state = 'queued') EXECUTE FUNCTION job_count_add();

CREATE TRIGGER job_2_count_remove AFTER UPDATE OF state ON job
FOR EACH ROW WHEN (OLD.state = 'queued' AND NEW.state <> 'queued') EXECUTE FUNCTION job_count_remove();

CREATE TRIGGER job_2_count_return AFTER UPDATE OF state ON job
FOR EACH ROW WHEN (NEW.state = 'queued' AND OLD.state <> 'queued') EXECUTE FUNCTION job_count_add();

CREATE TRIGGER job_2_count_move AFTER UPDATE OF priority, turn, seq ON job
FOR EACH ROW WHEN (OLD.state = 'queued' AND NEW.state = 'queued') EXECUTE FUNCTION job_count_move();

CREATE TRIGGER job_2_count_delete AFTER DELETE ON job
FOR EACH ROW WHEN (OLD.state = 'queued') EXECUTE FUNCTION job_count_remove();

-- What is before a place: `work_ahead.sql` of SQLite explains it. Planned once: the estimates of ranges of rows are far off, so
-- that a plan for known values always seems better, and planning takes longer than the query.
CREATE FUNCTION work_before(apps text[], of_priority integer, of_turn bigint, of_seq bigint)
RETURNS TABLE (
  requests bigint,
  steps double precision,
  megapixels double precision,
  megapixel_steps double precision,
  attention double precision
)
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT SUM(ahead.requests)::bigint, SUM(ahead.steps), SUM(ahead.megapixels), SUM(ahead.megapixel_steps),
         SUM(ahead.attention)
  FROM (
    SELECT 0 AS requests, 0.0::double precision AS steps, 0.0::double precision AS megapixels,
           0.0::double precision AS megapixel_steps, 0.0::double precision AS attention
    UNION ALL
    SELECT requests, steps, megapixels, megapixel_steps, attention FROM queue_run
    WHERE app = ANY(apps) AND grain = 0 AND priority > of_priority
    UNION ALL
    SELECT counted.*
    FROM unnest(apps) AS wanted (app)
    CROSS JOIN LATERAL (
      SELECT turn, seq FROM queue_run
      WHERE app = wanted.app AND grain = 32768 AND priority = of_priority AND (turn, seq) <= (of_turn, of_seq)
      ORDER BY turn DESC, seq DESC LIMIT 1
    ) AS wide
    CROSS JOIN LATERAL (
      SELECT turn, seq FROM queue_run
      WHERE app = wanted.app AND grain = 1024 AND priority = of_priority AND (turn, seq) <= (of_turn, of_seq)
      ORDER BY turn DESC, seq DESC LIMIT 1
    ) AS middle
    CROSS JOIN LATERAL (
      SELECT turn, seq FROM queue_run
      WHERE app = wanted.app AND grain = 32 AND priority = of_priority AND (turn, seq) <= (of_turn, of_seq)
      ORDER BY turn DESC, seq DESC LIMIT 1
    ) AS leaf
    CROSS JOIN LATERAL (
      SELECT SUM(requests) AS requests, SUM(steps) AS steps, SUM(megapixels) AS megapixels,
             SUM(megapixel_steps) AS megapixel_steps, SUM(attention) AS attention
      FROM (
        SELECT requests, steps, megapixels, megapixel_steps, attention FROM queue_run
        WHERE app = wanted.app AND grain = 32768 AND priority = of_priority AND (turn, seq) < (wide.turn, wide.seq)
        UNION ALL
        SELECT requests, steps, megapixels, megapixel_steps, attention FROM queue_run
        WHERE app = wanted.app AND grain = 1024 AND priority = of_priority
          AND (turn, seq) >= (wide.turn, wide.seq) AND (turn, seq) < (middle.turn, middle.seq)
        UNION ALL
        SELECT requests, steps, megapixels, megapixel_steps, attention FROM queue_run
        WHERE app = wanted.app AND grain = 32 AND priority = of_priority
          AND (turn, seq) >= (middle.turn, middle.seq) AND (turn, seq) < (leaf.turn, leaf.seq)
        UNION ALL
        SELECT 1, steps, megapixels, megapixel_steps, attention FROM job
        WHERE state = 'queued' AND app = wanted.app AND quota_limited = false AND priority = of_priority
          AND (turn, seq) >= (leaf.turn, leaf.seq) AND (turn, seq) < (of_turn, of_seq)
        UNION ALL
        SELECT 1, steps, megapixels, megapixel_steps, attention FROM job
        WHERE state = 'queued' AND app = wanted.app AND quota_limited = true AND priority = of_priority
          AND (turn, seq) >= (leaf.turn, leaf.seq) AND (turn, seq) < (of_turn, of_seq)
      ) AS before
    ) AS counted
  ) AS ahead;
END $$;

-- The first jobs of each app that may start, the one whose turn it is first: `next_job.sql` of SQLite explains it. Of each app
-- there is one of the keys without limits, and one of the others. Planned once, as `work_before`.
CREATE FUNCTION next_jobs(apps text[], exclude_ids text[], at double precision)
RETURNS TABLE (app text, quota_limited boolean, key_id text, image_count integer)
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH wanted AS MATERIALIZED (
    SELECT app FROM unnest(apps) AS wanted (app)
    WHERE NOT EXISTS (SELECT 1 FROM paused_app WHERE paused_app.app = wanted.app)
  ), head AS MATERIALIZED (
    SELECT unlimited.*
    FROM wanted CROSS JOIN LATERAL (
      SELECT app, quota_limited, key_id, image_count, model, priority, turn, seq FROM job
      WHERE state = 'queued' AND app = wanted.app AND quota_limited = false
        AND id <> ALL (exclude_ids) AND COALESCE(start_deadline > at, true)
      ORDER BY priority DESC, turn, seq
      LIMIT 1
    ) AS unlimited
    UNION ALL
    SELECT limited.*
    FROM wanted CROSS JOIN LATERAL (
      (
        SELECT app, quota_limited, key_id, image_count, model, priority, turn, seq
        FROM (
          SELECT * FROM job
          WHERE state = 'queued' AND app = wanted.app AND quota_limited = true
          ORDER BY priority DESC, turn, seq
          LIMIT 32
        ) AS near
        WHERE id <> ALL (exclude_ids) AND COALESCE(start_deadline > at, true)
          AND NOT EXISTS (
            SELECT 1 FROM api_key WHERE api_key.id = near.key_id AND running_images + near.image_count > max_running_images
          )
        ORDER BY priority DESC, turn, seq
        LIMIT 1
      )
      UNION ALL
      (
        WITH RECURSIVE of_key AS (
          (
            SELECT key_id, image_count FROM job
            WHERE state = 'queued' AND app = wanted.app AND quota_limited = true AND key_id IS NOT NULL
            ORDER BY key_id, image_count
            LIMIT 1
          )
          UNION ALL
          SELECT following.key_id, following.image_count
          FROM of_key CROSS JOIN LATERAL (
            SELECT key_id, image_count FROM job
            WHERE state = 'queued' AND app = wanted.app AND quota_limited = true AND key_id IS NOT NULL
              AND (key_id, image_count) > (of_key.key_id, of_key.image_count)
            ORDER BY key_id, image_count
            LIMIT 1
          ) AS following
        )
        SELECT first.*
        FROM of_key CROSS JOIN LATERAL (
          SELECT app, quota_limited, key_id, image_count, model, priority, turn, seq FROM job
          WHERE state = 'queued' AND app = wanted.app AND quota_limited = true
            AND key_id = of_key.key_id AND image_count = of_key.image_count
            AND id <> ALL (exclude_ids) AND COALESCE(start_deadline > at, true)
          ORDER BY priority DESC, turn, seq
          LIMIT 1
        ) AS first
        WHERE NOT EXISTS (
          SELECT 1 FROM api_key WHERE api_key.id = of_key.key_id AND running_images + of_key.image_count > max_running_images
        )
        ORDER BY priority DESC, turn, seq
        LIMIT 1
      )
      LIMIT 1
    ) AS limited
  )
  SELECT app, quota_limited, key_id, image_count
  FROM (
    SELECT *, first_value(seq) OVER (PARTITION BY priority, model ORDER BY turn, seq) AS model_seq FROM head
  ) AS ordered
  ORDER BY priority DESC, model_seq, turn, seq;
END $$;

CREATE VIEW queue_count AS
SELECT app, 0 AS level, priority, 0::bigint AS block, requests, steps, megapixels, megapixel_steps, attention
FROM queue_run WHERE grain = 0
UNION ALL
SELECT app, level, priority, seq >> level, count(*), sum(steps), sum(megapixels), sum(megapixel_steps), sum(attention)
FROM job CROSS JOIN (VALUES (12), (8), (4)) AS levels (level)
WHERE state = 'queued'
GROUP BY app, level, priority, seq >> level;
