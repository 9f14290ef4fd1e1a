-- `sqlite/0013_retries.sql` explains the columns and the index.
ALTER TABLE job ADD COLUMN retried_as text;
ALTER TABLE job ADD COLUMN cancelled_by text;

DROP INDEX job_states;
CREATE INDEX job_states ON job (state, submitted_at) INCLUDE (finished_at, retention_seconds, kept, retried_as)
WHERE state || '' <> 'succeeded';
