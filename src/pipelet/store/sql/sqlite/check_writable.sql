-- A write that changes nothing: SQLite writes the page to its log all the same.
UPDATE alembic_version SET version_num = version_num
