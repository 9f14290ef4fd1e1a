DELETE FROM file WHERE key = :key
