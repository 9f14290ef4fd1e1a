SELECT count(*) FROM file
WHERE key IN (SELECT value FROM json_each(:keys)) AND (delete_after IS NULL OR delete_after > :claimable_until)
