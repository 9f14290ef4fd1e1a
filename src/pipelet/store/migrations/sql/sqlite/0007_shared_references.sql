-- Which requests start from which stored pictures: one that is tried again starts from those of the first.
--
-- Processes of the version before may go on while this happens. They give a file to the request that they queue; triggers make
-- a row of that, and let go what belongs to the requests that they forget.

-- A file with a row here stays. It has no `job_id` of its own then, so that no request takes it along when it goes.
CREATE TABLE job_reference (
  job_id TEXT NOT NULL,
  key TEXT NOT NULL,
  PRIMARY KEY (job_id, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX job_reference_of_file ON job_reference (key);

CREATE TRIGGER file_is_taken AFTER UPDATE OF job_id ON file WHEN NEW.job_id <> '' BEGIN
  INSERT INTO job_reference (job_id, key) VALUES (NEW.job_id, NEW.key) ON CONFLICT DO NOTHING;
  UPDATE file SET job_id = '' WHERE key = NEW.key;
END;

CREATE TRIGGER job_reference_goes AFTER DELETE ON job_reference BEGIN
  UPDATE file SET delete_after = 0
  WHERE key = OLD.key AND NOT EXISTS (SELECT 1 FROM job_reference WHERE job_reference.key = OLD.key);
END;

CREATE TRIGGER job_lets_references_go AFTER DELETE ON job BEGIN
  DELETE FROM job_reference WHERE job_id = OLD.id;
END;

DROP TRIGGER job_forgets_input;

CREATE TRIGGER job_forgets_input AFTER UPDATE OF state ON job WHEN NEW.finished_at IS NOT NULL AND NOT NEW.keep_input BEGIN
  UPDATE job SET spec = json_remove(json_set(NEW.spec, '$.prompt', '', '$.negative_prompt', NULL), '$.references')
  WHERE seq = NEW.seq;
  DELETE FROM job_reference WHERE job_id = NEW.id;
END;

-- By what they ask for, not by whose the files are: a second try has taken them from the first.
INSERT INTO job_reference (job_id, key)
SELECT DISTINCT job.id, file.key
FROM job JOIN json_each(job.spec, '$.references') AS used JOIN file ON file.key = json_extract(used.value, '$.key')
WHERE job.spec LIKE '%"references"%' AND file.delete_after IS NULL;

UPDATE file SET job_id = '' WHERE key IN (SELECT key FROM job_reference);
