-- Which requests start from which stored pictures; `sql/sqlite/0007_shared_references.sql` tells what the table is for.

CREATE TABLE job_reference (
  job_id text NOT NULL,
  key text NOT NULL,
  PRIMARY KEY (job_id, key)
);

CREATE INDEX job_reference_of_file ON job_reference (key);

-- Files are locked first, all in one order: of several requests that go at the same time the last one finds that it is the
-- last, one that arrives meanwhile is seen or sees that it is too late, and no two wait for each other.
CREATE FUNCTION let_references_go(job_ids text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  keys text[] := ARRAY(SELECT job_reference.key FROM job_reference WHERE job_id = ANY(job_ids));
BEGIN
  PERFORM 1 FROM file WHERE file.key = ANY(keys) ORDER BY file.key FOR UPDATE;
  DELETE FROM job_reference WHERE job_id = ANY(job_ids);
  UPDATE file SET delete_after = 0
  WHERE file.key = ANY(keys) AND NOT EXISTS (SELECT 1 FROM job_reference WHERE job_reference.key = file.key);
END $$;

CREATE FUNCTION job_lets_references_go() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM let_references_go(ARRAY(SELECT id FROM gone));
  RETURN NULL;
END $$;

CREATE TRIGGER job_lets_references_go AFTER DELETE ON job
REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION job_lets_references_go();

CREATE OR REPLACE FUNCTION job_forgets_input() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.spec := ((NEW.spec::jsonb || '{"prompt": "", "negative_prompt": null}') - 'references')::text;
  PERFORM let_references_go(ARRAY[NEW.id]);
  RETURN NEW;
END $$;

CREATE FUNCTION file_is_taken() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO job_reference (job_id, key) VALUES (NEW.job_id, NEW.key) ON CONFLICT DO NOTHING;
  NEW.job_id := '';
  RETURN NEW;
END $$;

CREATE TRIGGER file_is_taken BEFORE UPDATE OF job_id ON file
FOR EACH ROW WHEN (NEW.job_id <> '') EXECUTE FUNCTION file_is_taken();

INSERT INTO job_reference (job_id, key)
SELECT DISTINCT job.id, file.key
FROM job
CROSS JOIN LATERAL json_array_elements(job.spec::json -> 'references') AS used
JOIN file ON file.key = used ->> 'key'
WHERE job.spec LIKE '%"references"%' AND file.delete_after IS NULL;

UPDATE file SET job_id = '' WHERE key IN (SELECT key FROM job_reference);
