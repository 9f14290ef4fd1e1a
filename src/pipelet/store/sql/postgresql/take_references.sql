-- The trigger `file_is_taken` makes a row of `job_reference` of that, beside those of the jobs that had them before.
-- Differs from SQLite's because housekeeping may look at the same time: rows that it may have seen are left to it. They are
-- locked in the order of `let_references_go`, so that no two wait for each other.
WITH wanted AS MATERIALIZED (
  SELECT key FROM file WHERE key = ANY(:keys::text[]) ORDER BY key FOR UPDATE
)
UPDATE file SET job_id = :job_id, delete_after = NULL
FROM wanted
WHERE file.key = wanted.key AND (delete_after IS NULL OR delete_after > :until)
RETURNING file.key
