-- Previews of running requests: a row for each request whose previews a client watches, with the newest one once there is one.
-- A row is a hint and may be lost. It ends with the attempt: a client that still watches asks again.
CREATE TABLE preview (
  job_id TEXT PRIMARY KEY,
  -- Until then the worker makes previews; clients that watch put it off.
  wanted_until REAL NOT NULL,
  -- NULL until the first preview.
  made_at REAL,
  -- Number of the image, from 0, and the steps of it that were done.
  image_index INTEGER,
  step INTEGER,
  -- WebP.
  image BLOB CHECK (length(image) <= 65536)
) STRICT;

CREATE TRIGGER job_delete_preview AFTER UPDATE OF state ON job WHEN NEW.state <> 'running' BEGIN
  DELETE FROM preview WHERE job_id = OLD.id;
END;
