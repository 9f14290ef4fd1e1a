DELETE FROM file WHERE key IN (SELECT value FROM json_each(:keys))
