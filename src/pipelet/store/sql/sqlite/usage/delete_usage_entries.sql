-- Those that `add_up_usage` has added up with the same limit.
DELETE FROM usage_entry
WHERE rowid IN (SELECT rowid FROM usage_entry ORDER BY rowid LIMIT :limit)
RETURNING ended_at, app, state, queue_seconds, total_seconds, estimated_seconds
