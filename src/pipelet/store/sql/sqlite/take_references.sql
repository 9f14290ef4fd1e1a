UPDATE file SET job_id = :job_id, delete_after = NULL WHERE key IN (SELECT value FROM json_each(:keys))
