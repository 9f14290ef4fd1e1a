-- `sqlite/0003_request_lists.sql` explains the columns and indexes.

ALTER TABLE job ADD COLUMN kept boolean NOT NULL DEFAULT false;

CREATE INDEX job_of_owner ON job (owner, submitted_at);
-- An expression, so that the planner does not take it for the lists of a user with few requests among many.
CREATE INDEX job_submits ON job ((submitted_at + 0));

CREATE INDEX job_retention ON job (finished_at) WHERE finished_at IS NOT NULL AND NOT kept;

CREATE INDEX idempotency_key_of_job ON idempotency_key (job_id);
