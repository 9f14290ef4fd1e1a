-- Differs from SQLite's because of the index: see its migration.
SELECT 1 AS found FROM job WHERE submitted_at + 0 >= :since AND submitted_at + 0 < :until LIMIT 1 OFFSET :skipped
