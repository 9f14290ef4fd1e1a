-- Images that users upload before a request names them. `docs/decisions/0029` has the reasons.

-- A row is there before its file is written. Until it is, `stored` is 0 and the row expires soon: what a killed process left
-- is deleted like an upload whose time is over. `used` is 1 once a submit has read it.
CREATE TABLE upload (
  id TEXT PRIMARY KEY,
  owner TEXT NOT NULL,
  key TEXT NOT NULL UNIQUE,
  bytes INTEGER NOT NULL,
  expires_at REAL NOT NULL,
  stored INTEGER NOT NULL DEFAULT 0 CHECK (stored IN (0, 1)),
  used INTEGER NOT NULL DEFAULT 0 CHECK (used IN (0, 1))
) STRICT, WITHOUT ROWID;

CREATE INDEX upload_unused ON upload (owner) WHERE NOT used;
CREATE INDEX upload_expiry ON upload (expires_at);

-- Like every file it has a row in `file`, which counts for its user from now on.
CREATE TRIGGER upload_note_file AFTER INSERT ON upload BEGIN
  INSERT INTO file (key, job_id, lease_token, owner, bytes) VALUES (NEW.key, '', '', NEW.owner, NEW.bytes);
END;

CREATE TRIGGER upload_release_file AFTER DELETE ON upload BEGIN
  UPDATE file SET delete_after = 0 WHERE key = OLD.key;
END;

-- Other files have no size, or a time to be deleted, when they are noted.
CREATE TRIGGER file_count_insert AFTER INSERT ON file WHEN NEW.bytes > 0 AND NEW.delete_after IS NULL BEGIN
  INSERT INTO stored_bytes VALUES (NEW.owner, NEW.bytes) ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes;
END;
