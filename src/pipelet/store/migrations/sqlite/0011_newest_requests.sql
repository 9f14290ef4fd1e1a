-- The newest request of each user through an API whose clients ask about "the" request, without an id. No reference to `job`:
-- the id of a deleted one leads nowhere, and the next one replaces it.
CREATE TABLE newest_request (
  owner TEXT NOT NULL,
  api TEXT NOT NULL,
  job_id TEXT NOT NULL,
  PRIMARY KEY (owner, api)
) STRICT, WITHOUT ROWID;
