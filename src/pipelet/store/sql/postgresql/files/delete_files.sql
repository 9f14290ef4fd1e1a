DELETE FROM file WHERE key = ANY(:keys::text[])
