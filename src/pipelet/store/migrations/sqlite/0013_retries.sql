-- The request that was queued in place of a failed or cancelled one, the newest if there are several. It may be gone.
ALTER TABLE job ADD COLUMN retried_as TEXT;
-- Who ended a request, or wants it to end: `user`, `operator`, `connection` or `service`. NULL if that is not known.
ALTER TABLE job ADD COLUMN cancelled_by TEXT;

-- With what a count of the failed requests that were not retried needs: `0012_counts.sql` explains the index.
DROP INDEX job_states;
CREATE INDEX job_states ON job (state, submitted_at, finished_at, retention_seconds, kept, retried_as)
WHERE state <> 'succeeded';
