"""The queue on disk. The only place with SQL: one query a file, under `sql/<dialect>/`."""
