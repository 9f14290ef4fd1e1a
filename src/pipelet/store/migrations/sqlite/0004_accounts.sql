-- Names of `domain/accounts/scopes.py`, separated by spaces. A key that the version before makes may generate, as every key
-- could until now.
ALTER TABLE api_key ADD COLUMN scopes TEXT NOT NULL DEFAULT 'generate';
ALTER TABLE api_key ADD COLUMN last_used_at REAL;

-- Secrets of keys that were rotated, for as long as they still work. The current one is in `api_key`.
CREATE TABLE replaced_secret (
  hash BLOB PRIMARY KEY,
  key_id TEXT NOT NULL REFERENCES api_key (id) ON DELETE CASCADE,
  expires_at REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX replaced_secret_of_key ON replaced_secret (key_id);

-- A browser that has signed in with a key. The cookie holds the secret, this table its hash.
CREATE TABLE session (
  id TEXT PRIMARY KEY,
  hash BLOB NOT NULL UNIQUE,
  key_id TEXT NOT NULL REFERENCES api_key (id) ON DELETE CASCADE,
  created_at REAL NOT NULL,
  last_seen_at REAL NOT NULL,
  expires_at REAL NOT NULL,
  user_agent TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX session_of_key ON session (key_id);

-- A code that signs a browser in once.
CREATE TABLE login_code (
  hash BLOB PRIMARY KEY,
  key_id TEXT NOT NULL REFERENCES api_key (id) ON DELETE CASCADE,
  expires_at REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX login_code_of_key ON login_code (key_id);

-- Who did what, to what, and what it changed. `before` and `after` are JSON: ids and numbers, no texts of users.
CREATE TABLE audit_entry (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at REAL NOT NULL,
  action TEXT NOT NULL,
  target TEXT NOT NULL,
  -- The user of the key; on the command line, the user of the operating system.
  actor TEXT NOT NULL,
  -- NULL on the command line.
  key_id TEXT,
  address TEXT,
  before TEXT,
  after TEXT,
  -- Of entries that are written once, however often they happen: what they have in common.
  once TEXT UNIQUE
) STRICT;

CREATE INDEX audit_entry_at ON audit_entry (at);

-- For the list of deliveries, newest first.
CREATE INDEX webhook_delivery_since ON webhook_delivery (since DESC, job_id);
