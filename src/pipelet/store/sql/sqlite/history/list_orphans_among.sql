SELECT key FROM file WHERE key IN (SELECT value FROM json_each(:keys)) AND delete_after <= :now
