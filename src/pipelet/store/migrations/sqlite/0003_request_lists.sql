-- Lists of requests, deletion by their users, and requests that retention leaves alone.

ALTER TABLE job ADD COLUMN kept INTEGER NOT NULL DEFAULT 0 CHECK (kept IN (0, 1));

-- Lists go by the time of the submit: `seq` changes when a job moves to the front.
CREATE INDEX job_of_owner ON job (owner, submitted_at);
CREATE INDEX job_submits ON job (submitted_at);

-- Retention does not walk over the jobs that are kept.
CREATE INDEX job_retention ON job (finished_at) WHERE finished_at IS NOT NULL AND NOT kept;

CREATE INDEX idempotency_key_of_job ON idempotency_key (job_id);
