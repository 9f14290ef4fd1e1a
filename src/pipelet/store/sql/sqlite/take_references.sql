-- The trigger `file_is_taken` makes a row of `job_reference` of that, beside those of the jobs that had them before.
UPDATE file SET job_id = :job_id, delete_after = NULL WHERE key IN (SELECT value FROM json_each(:keys))
