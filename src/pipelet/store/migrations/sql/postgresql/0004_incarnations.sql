-- `sql/sqlite/0004_incarnations.sql` tells what the column is for.

ALTER TABLE worker ADD COLUMN incarnation text NOT NULL DEFAULT '';
