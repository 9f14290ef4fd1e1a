-- Limits of users; `sqlite/0006_limits.sql` explains the tables and columns.
--
-- Locks are taken in one order: a job's row, its key, its user's limits, then what the queue counts. By their names,
-- triggers run in that order, too.

CREATE TABLE user_limit (
  owner text PRIMARY KEY,
  max_priority integer,
  max_queued_images integer,
  max_running_images integer,
  max_submits_per_second double precision,
  submit_burst integer NOT NULL,
  max_stored_bytes bigint,
  max_webhooks_per_minute integer,
  queued_images integer NOT NULL DEFAULT 0,
  running_images integer NOT NULL DEFAULT 0,
  submit_tokens double precision,
  filled_at double precision NOT NULL DEFAULT 0
) WITH (
  fillfactor = 50,
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0
);

-- As `UserQuota.tokens` in `domain/accounts/limits.py`.
CREATE FUNCTION submit_tokens_at(known user_limit, now double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN known.submit_tokens IS NULL OR now < known.filled_at - 10.0 THEN known.submit_burst
    ELSE LEAST(
      known.submit_burst,
      known.submit_tokens + GREATEST(0.0, now - known.filled_at) * COALESCE(known.max_submits_per_second, 0.0)
    )
  END
$$;

ALTER TABLE job ADD COLUMN user_limited boolean NOT NULL DEFAULT false;

CREATE FUNCTION user_limit_count_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE user_limit SET
    queued_images = queued_images + NEW.image_count * ((NEW.state = 'queued')::integer - (OLD.state = 'queued')::integer),
    running_images = running_images + NEW.image_count * NEW.quota_limited::integer
      * ((NEW.state = 'running')::integer - (OLD.state = 'running')::integer)
  WHERE owner = NEW.owner;
  RETURN NULL;
END $$;

CREATE FUNCTION user_limit_count_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE user_limit SET queued_images = queued_images - OLD.image_count WHERE owner = OLD.owner;
  RETURN NULL;
END $$;

-- Not at the end of a job that only waited to be counted: its transaction waits for the disk, and would keep the row until
-- then.
CREATE TRIGGER job_0_count_user AFTER UPDATE OF state ON job
FOR EACH ROW
WHEN (NEW.user_limited AND (NEW.quota_limited OR (OLD.state = 'queued') <> (NEW.state = 'queued')))
EXECUTE FUNCTION user_limit_count_move();

CREATE TRIGGER job_0_count_user_deleted AFTER DELETE ON job
FOR EACH ROW WHEN (OLD.user_limited AND OLD.state = 'queued') EXECUTE FUNCTION user_limit_count_delete();

-- As before, without jobs whose user runs as many images as allowed.
CREATE OR REPLACE FUNCTION next_jobs(apps text[], exclude_ids text[], at double precision)
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
          AND NOT EXISTS (
            SELECT 1 FROM user_limit
            WHERE near.user_limited AND user_limit.owner = near.owner AND running_images + near.image_count > max_running_images
          )
        ORDER BY priority DESC, turn, seq
        LIMIT 1
      )
      UNION ALL
      (
        WITH RECURSIVE of_key AS (
          (
            SELECT key_id, image_count FROM job
            WHERE state = 'queued' AND app = wanted.app AND quota_limited = true
            ORDER BY key_id, image_count
            LIMIT 1
          )
          UNION ALL
          SELECT following.key_id, following.image_count
          FROM of_key CROSS JOIN LATERAL (
            SELECT key_id, image_count FROM job
            WHERE state = 'queued' AND app = wanted.app AND quota_limited = true
              AND (key_id, image_count) > (of_key.key_id, of_key.image_count)
            ORDER BY key_id, image_count
            LIMIT 1
          ) AS following
        )
        SELECT first.app, first.quota_limited, first.key_id, first.image_count, model, priority, turn, seq
        FROM of_key CROSS JOIN LATERAL (
          SELECT app, quota_limited, key_id, image_count, model, priority, turn, seq, owner, user_limited FROM job
          WHERE state = 'queued' AND app = wanted.app AND quota_limited = true
            AND key_id = of_key.key_id AND image_count = of_key.image_count
            AND id <> ALL (exclude_ids) AND COALESCE(start_deadline > at, true)
          ORDER BY priority DESC, turn, seq
          LIMIT 1
        ) AS first
        WHERE NOT EXISTS (
          SELECT 1 FROM api_key WHERE api_key.id = of_key.key_id AND running_images + of_key.image_count > max_running_images
        )
        AND NOT EXISTS (
          SELECT 1 FROM user_limit
          WHERE first.user_limited AND user_limit.owner = first.owner AND running_images + first.image_count > max_running_images
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

-- Several rows for a user: each transaction takes one that no other has. The end of a job waits for the disk, and
-- two ends must not wait for each other.
CREATE TABLE stored_bytes (
  owner text NOT NULL,
  bytes bigint NOT NULL
) WITH (
  fillfactor = 50,
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0
);

CREATE INDEX stored_bytes_of_user ON stored_bytes (owner);

CREATE FUNCTION stored_bytes_add(of_owner text, change bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  free_row tid;
BEGIN
  SELECT ctid INTO free_row FROM stored_bytes WHERE owner = of_owner LIMIT 1 FOR UPDATE SKIP LOCKED;
  UPDATE stored_bytes SET bytes = bytes + change WHERE ctid = free_row;
  IF NOT FOUND THEN
    INSERT INTO stored_bytes VALUES (of_owner, change);
  END IF;
END $$;

ALTER TABLE file
  ADD COLUMN owner text NOT NULL DEFAULT '',
  ADD COLUMN bytes bigint NOT NULL DEFAULT 0;

UPDATE file SET owner = job.owner, bytes = (stored.image ->> 'file_size')::bigint
FROM job CROSS JOIN LATERAL jsonb_array_elements(COALESCE(job.images, job.finished_images)::jsonb) AS stored (image)
WHERE file.key = stored.image ->> 'key';

INSERT INTO stored_bytes SELECT owner, SUM(bytes) FROM file WHERE delete_after IS NULL AND bytes > 0 GROUP BY owner;

CREATE FUNCTION job_note_sizes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE file SET owner = NEW.owner, bytes = (stored.image ->> 'file_size')::bigint
  FROM jsonb_array_elements(COALESCE(NEW.images, NEW.finished_images)::jsonb) AS stored (image)
  WHERE file.key = stored.image ->> 'key';
  RETURN NULL;
END $$;

CREATE TRIGGER job_4_note_sizes AFTER UPDATE OF state ON job
FOR EACH ROW
WHEN (OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL AND COALESCE(NEW.images, NEW.finished_images) IS NOT NULL)
EXECUTE FUNCTION job_note_sizes();

CREATE FUNCTION file_count_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM stored_bytes_add(NEW.owner, CASE WHEN NEW.delete_after IS NULL THEN NEW.bytes ELSE 0 END
                                      - CASE WHEN OLD.delete_after IS NULL THEN OLD.bytes ELSE 0 END);
  RETURN NULL;
END $$;

CREATE TRIGGER file_count_change AFTER UPDATE OF bytes, delete_after ON file
FOR EACH ROW
WHEN (CASE WHEN NEW.delete_after IS NULL THEN NEW.bytes ELSE 0 END
      <> CASE WHEN OLD.delete_after IS NULL THEN OLD.bytes ELSE 0 END)
EXECUTE FUNCTION file_count_change();

CREATE FUNCTION file_count_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM stored_bytes_add(OLD.owner, -OLD.bytes);
  RETURN NULL;
END $$;

CREATE TRIGGER file_count_delete AFTER DELETE ON file
FOR EACH ROW WHEN (OLD.bytes > 0 AND OLD.delete_after IS NULL) EXECUTE FUNCTION file_count_delete();

-- Not in `user_limit`: the end of a job waits for the disk, and submits must not wait with it.
CREATE TABLE webhook_pace (
  owner text PRIMARY KEY,
  next_at double precision NOT NULL
) WITH (
  fillfactor = 50,
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0
);

CREATE FUNCTION webhook_delivery_pace() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  seconds double precision := (SELECT 60.0 / max_webhooks_per_minute FROM user_limit WHERE owner = NEW.owner);
BEGIN
  IF seconds IS NULL THEN
    RETURN NEW;
  END IF;
  INSERT INTO webhook_pace AS known VALUES (NEW.owner, NEW.due_at + seconds)
  ON CONFLICT (owner) DO UPDATE SET next_at = GREATEST(known.next_at, NEW.due_at) + seconds
  RETURNING GREATEST(NEW.due_at, next_at - GREATEST(10.0, seconds)) INTO NEW.due_at;
  RETURN NEW;
END $$;

CREATE TRIGGER webhook_delivery_pace BEFORE INSERT ON webhook_delivery
FOR EACH ROW EXECUTE FUNCTION webhook_delivery_pace();

CREATE TABLE refusal (
  day text NOT NULL,
  owner text NOT NULL,
  reason text NOT NULL,
  requests bigint NOT NULL,
  PRIMARY KEY (day, owner, reason)
);
