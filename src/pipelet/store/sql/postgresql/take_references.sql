-- Differs from SQLite's because housekeeping may look at the same time: rows that it may have seen are left to it.
UPDATE file SET job_id = :job_id, delete_after = NULL
WHERE key = ANY(:keys::text[]) AND (delete_after IS NULL OR delete_after > :until)
RETURNING key
