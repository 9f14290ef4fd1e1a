-- Keys that make a submit safe to repeat, deadlines for a start, inputs and results that are kept for less time, and cancels
-- of what runs; `sql/sqlite/0005_contract.sql` tells what the columns are for.

ALTER TABLE job
  ADD COLUMN start_by double precision,
  ADD COLUMN cancel_asked_at double precision,
  ADD COLUMN single_attempt boolean NOT NULL DEFAULT false,
  ADD COLUMN keep_input boolean NOT NULL DEFAULT true,
  ADD COLUMN keep_seconds double precision,
  ADD COLUMN finished_images text;

CREATE INDEX job_start_deadlines ON job (start_by) WHERE state = 'queued' AND start_by IS NOT NULL;
CREATE INDEX job_early_ends ON job ((finished_at + keep_seconds))
WHERE finished_at IS NOT NULL AND keep_seconds IS NOT NULL;

CREATE FUNCTION job_forgets_input() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.spec := ((NEW.spec::jsonb || '{"prompt": "", "negative_prompt": null}') - 'references')::text;
  UPDATE file SET delete_after = NEW.finished_at WHERE job_id = NEW.id AND lease_token = '';
  RETURN NEW;
END $$;

CREATE TRIGGER job_forgets_input BEFORE UPDATE OF state ON job
FOR EACH ROW WHEN (NEW.finished_at IS NOT NULL AND NOT NEW.keep_input) EXECUTE FUNCTION job_forgets_input();

CREATE TABLE idempotency_key (
  owner text NOT NULL,
  key text NOT NULL,
  fingerprint text NOT NULL,
  job_id text NOT NULL,
  expires_at double precision NOT NULL,
  PRIMARY KEY (owner, key)
);

CREATE INDEX idempotency_key_ends ON idempotency_key (expires_at);
