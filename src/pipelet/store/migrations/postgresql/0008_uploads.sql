-- Images that users upload; `sqlite/0008_uploads.sql` explains the table.

CREATE TABLE upload (
  id text PRIMARY KEY,
  owner text NOT NULL,
  key text NOT NULL UNIQUE,
  bytes bigint NOT NULL,
  expires_at double precision NOT NULL,
  stored boolean NOT NULL DEFAULT false,
  used boolean NOT NULL DEFAULT false
);

CREATE INDEX upload_unused ON upload (owner) WHERE NOT used;
CREATE INDEX upload_expiry ON upload (expires_at);

CREATE FUNCTION upload_note_file() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO file (key, job_id, lease_token, owner, bytes) VALUES (NEW.key, '', '', NEW.owner, NEW.bytes);
  RETURN NULL;
END $$;

CREATE TRIGGER upload_note_file AFTER INSERT ON upload FOR EACH ROW EXECUTE FUNCTION upload_note_file();

CREATE FUNCTION upload_release_file() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE file SET delete_after = 0 WHERE key = OLD.key;
  RETURN NULL;
END $$;

CREATE TRIGGER upload_release_file AFTER DELETE ON upload FOR EACH ROW EXECUTE FUNCTION upload_release_file();

CREATE FUNCTION file_count_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM stored_bytes_add(NEW.owner, NEW.bytes);
  RETURN NULL;
END $$;

CREATE TRIGGER file_count_insert AFTER INSERT ON file
FOR EACH ROW WHEN (NEW.bytes > 0 AND NEW.delete_after IS NULL) EXECUTE FUNCTION file_count_insert();
