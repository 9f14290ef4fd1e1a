-- Keys that make a submit safe to repeat, deadlines for a start, inputs and results that are kept for less time, and cancels
-- of what runs.
--
-- Processes of the version before may go on while this happens. They start what is past its deadline, try again what is to
-- be tried once, and finish what is to be cancelled; the rest holds for what they do, too.

-- Begun later than this, it would be too late. A cancel of what runs is a deadline, too: should the attempt be cut short, no
-- other begins.
ALTER TABLE job ADD COLUMN start_by REAL;
ALTER TABLE job ADD COLUMN cancel_asked_at REAL;
ALTER TABLE job ADD COLUMN single_attempt INTEGER NOT NULL DEFAULT 0 CHECK (single_attempt IN (0, 1));
ALTER TABLE job ADD COLUMN keep_input INTEGER NOT NULL DEFAULT 1 CHECK (keep_input IN (0, 1));
-- From its end; the operator's retention time is the upper limit.
ALTER TABLE job ADD COLUMN keep_seconds REAL;
-- Of a request that was cancelled while it ran; `images` belongs to those that succeeded.
ALTER TABLE job ADD COLUMN finished_images TEXT;

CREATE INDEX job_start_deadlines ON job (start_by) WHERE state = 'queued' AND start_by IS NOT NULL;
CREATE INDEX job_early_ends ON job (finished_at + keep_seconds) WHERE finished_at IS NOT NULL AND keep_seconds IS NOT NULL;

CREATE TRIGGER job_forgets_input AFTER UPDATE OF state ON job WHEN NEW.finished_at IS NOT NULL AND NOT NEW.keep_input BEGIN
  UPDATE job SET spec = json_remove(json_set(NEW.spec, '$.prompt', '', '$.negative_prompt', NULL), '$.references')
  WHERE seq = NEW.seq;
  UPDATE file SET delete_after = NEW.finished_at WHERE job_id = NEW.id AND lease_token = '';
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
