-- Differs from SQLite's because lists come as arrays.
SELECT key FROM file WHERE key = ANY(:keys::text[]) AND delete_after <= :now
