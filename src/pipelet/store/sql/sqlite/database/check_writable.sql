-- A write that changes nothing: SQLite writes the page to its log all the same.
UPDATE schema_migration SET applied_at = applied_at
