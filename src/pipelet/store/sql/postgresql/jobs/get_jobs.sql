-- Differs from SQLite's because lists come as arrays.
SELECT * FROM job WHERE id = ANY(:ids::text[])
