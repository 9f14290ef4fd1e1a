-- Previews of running requests; `sqlite/0007_previews.sql` explains the columns.
--
-- Without a write-ahead log: a preview is a hint, and after a crash of the server clients ask again. Without a reference to
-- `job`, too: checking it would lock the row, and claims skip rows that are locked. What a client asked for at the very
-- moment of the end stays until maintenance finds it, without an image.
CREATE UNLOGGED TABLE preview (
  job_id text PRIMARY KEY,
  wanted_until double precision NOT NULL,
  made_at double precision,
  image_index integer,
  step integer,
  image bytea CHECK (octet_length(image) <= 65536)
);

-- WebP does not become smaller.
ALTER TABLE preview ALTER COLUMN image SET STORAGE EXTERNAL;

CREATE FUNCTION job_delete_preview() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM preview WHERE job_id = OLD.id;
  RETURN NULL;
END $$;

CREATE TRIGGER job_delete_preview AFTER UPDATE OF state ON job
FOR EACH ROW WHEN (NEW.state <> 'running') EXECUTE FUNCTION job_delete_preview();
