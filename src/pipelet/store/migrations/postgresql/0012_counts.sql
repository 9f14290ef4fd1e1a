-- `sqlite/0012_counts.sql` explains the index, and `0009_shorter_ways.sql` its condition.
DROP INDEX job_states;
CREATE INDEX job_states ON job (state, submitted_at) INCLUDE (finished_at, retention_seconds, kept)
WHERE state || '' <> 'succeeded';
