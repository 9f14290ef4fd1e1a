-- The request that was queued in place of a failed or cancelled one, the newest if there are several. It may be deleted by now.
ALTER TABLE job ADD COLUMN retried_as TEXT;
-- Who cancelled a request, or asked the worker to stop it: `user`, `operator`, `connection` or `service`. NULL if it is not known.
ALTER TABLE job ADD COLUMN cancelled_by TEXT;

-- Includes the column that a count of failed requests that were not retried reads: `0012_counts.sql` explains the index.
DROP INDEX job_states;
CREATE INDEX job_states ON job (state, submitted_at, finished_at, retention_seconds, kept, retried_as)
WHERE state <> 'succeeded';
