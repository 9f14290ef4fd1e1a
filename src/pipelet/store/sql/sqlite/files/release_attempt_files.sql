-- Files that belong to no result. Not deleted at once: an attempt that lost its lease may still be writing.
UPDATE file SET delete_after = :delete_after
WHERE job_id = :id AND lease_token = :token AND key NOT IN (SELECT value FROM json_each(:kept))
