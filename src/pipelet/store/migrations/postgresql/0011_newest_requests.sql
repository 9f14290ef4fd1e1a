-- `sqlite/0011_newest_requests.sql` explains the table. A reference to `job` would lock its row, and claims skip rows that are
-- locked.
CREATE TABLE newest_request (
  owner text NOT NULL,
  api text NOT NULL,
  job_id text NOT NULL,
  PRIMARY KEY (owner, api)
);
